// Bundles the pages into $OUT_DIR, with a gzip copy beside each file. build.rs calls it through `npm run build`.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const out = process.env.OUT_DIR;
if (!out) throw new Error("OUT_DIR must name the directory to write the pages to");

/** Files of every page that its service worker keeps, by path. */
const COMMON = { "/favicon.svg": "favicon.svg", "/offline.html": "offline.html", "/assets/base.css": "base.css" };
/** The pages: where each is, and the further files that it loads. */
const PAGES = {
  citizen: { path: "/", more: [] },
  checkpoint: { path: "/checkpoint", more: ["reader-worker.js", "foreign.js"] },
  agency: { path: "/", more: ["xlsx.js"] },
};
const OPTIONS = {
  outdir: out,
  // Bundles that a page loads when it needs them.
  external: ["/assets/*"],
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

await mkdir(out, { recursive: true });
const pages = Object.keys(PAGES);
await build({
  ...OPTIONS,
  entryPoints: [
    ...pages.flatMap((page) => [`src/${page}.ts`, `${page}.css`]),
    "src/agency/xlsx.ts",
    "src/checkpoint/reader-worker.ts",
    "src/foreign/foreign.ts",
    "base.css",
  ],
  entryNames: "[name]",
  format: "esm",
});
const copied = [
  ...pages.flatMap((page) => [`${page}.html`, `${page}.webmanifest`]),
  "favicon.svg",
  "offline.html",
  "icons/icon-192.png",
  "icons/icon-512.png",
  "icons/icon-maskable.png",
];
for (const file of copied) await copyFile(file, join(out, basename(file)));

const digest = (content, encoding) => createHash("sha256").update(content).digest(encoding);
// Addresses that name the content: caches keep such a file for good. The service answers any other `v` with what it has.
for (const page of [...pages, "offline"]) {
  const file = join(out, `${page}.html`);
  let html = await readFile(file, "utf8");
  for (const [address, asset] of html.matchAll(/"\/assets\/([^"]+)"/g)) {
    const version = digest(await readFile(join(out, asset)), "hex").slice(0, 32);
    html = html.replace(address, `"/assets/${asset}?v=${version}"`);
  }
  await writeFile(file, html);
}
for (const [page, { path, more }] of Object.entries(PAGES)) {
  const assets = [`${page}.js`, `${page}.css`, ...more].map((file) => [`/assets/${file}`, file]);
  const files = { [path]: `${page}.html`, ...Object.fromEntries(assets), ...COMMON };
  for (const [address, file] of Object.entries(files)) {
    files[address] = `sha256-${digest(await readFile(join(out, file)), "base64")}`;
  }
  await build({
    ...OPTIONS,
    entryPoints: [{ in: "src/service-worker/service-worker.ts", out: `${page}-worker` }],
    format: "iife",
    define: {
      PAGE: JSON.stringify(path),
      FILES: JSON.stringify(files),
      PREFIX: JSON.stringify(`yima.${page}.`),
      VERSION: JSON.stringify(digest(JSON.stringify(files), "hex").slice(0, 16)),
    },
  });
}

for (const file of (await readdir(out)).filter((file) => !/\.(gz|png)$/.test(file))) {
  await writeFile(join(out, `${file}.gz`), gzipSync(await readFile(join(out, file)), { level: 9 }));
}
