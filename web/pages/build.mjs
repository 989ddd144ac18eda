// Bundles the pages into $OUT_DIR, with a gzip copy beside each file. build.rs calls it through `npm run build`.
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const out = process.env.OUT_DIR;
if (!out) throw new Error("OUT_DIR must name the directory to write the pages to");

await mkdir(out, { recursive: true });
await build({
  entryPoints: [
    "src/agency.ts",
    "src/agency/xlsx.ts",
    "src/citizen.ts",
    "src/checkpoint.ts",
    "src/checkpoint/reader-worker.ts",
    "agency.css",
    "citizen.css",
    "checkpoint.css",
  ],
  entryNames: "[name]",
  outdir: out,
  // Bundles that a page loads when it needs them.
  external: ["/assets/*"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
for (const file of ["agency.html", "citizen.html", "checkpoint.html", "favicon.svg"]) {
  await copyFile(file, join(out, file));
}
for (const file of (await readdir(out)).filter((file) => !file.endsWith(".gz"))) {
  await writeFile(join(out, `${file}.gz`), gzipSync(await readFile(join(out, file)), { level: 9 }));
}
