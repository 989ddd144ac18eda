// Checks the texts of the pages, after the type check of `npm run check`: the tables of words (src/**/words.ts) have
// each text in Chinese and in English, and no text stands anywhere else.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { transform } from "esbuild";

// Names and formats, the same in both languages.
const NAMES = /lab-7|QR|UTF-8|CSV|CVX|\.?xlsx?|Excel|JSON|JWT|FHIR|R4|https?|MB|CR|A\+|Tab|Esc|Enter|\bUS\b/g;
const CHINESE = /\p{Script=Han}|[，。；：！？、（）]/u;
const LATIN = /\p{Script=Latin}+/u;
/** The words of a page that i18n.ts fills in. */
const KEYS = /data-t(?:-label)?="(\w+)"/g;
// Literals that look like texts: keys of the keyboard, names of errors, interfaces and COSE, a header, classes.
const NO_TEXTS = /^(Enter|Tab|Escape|Backspace|\w+Error|AudioContext|Signature1|Bearer .*|shape shape-.*)$/;
// What stands before a literal that is not shown: an error's message, or the classes of an element.
const NOT_SHOWN = /Error\(\s*$|super\(\s*`?$|make\(\s*"\w+",\s*$|className = $/;

// Sources with texts that are not shown: what a file or a keyboard may say, the parts of a spreadsheet; and the
// writer's reasons in both languages, which a test of their own compares with the writer. Names of browsers and phones;
// types of FHIR resources.
const DATA =
  /^(agency\/(dates|fields|reason-text|reasons|xlsx)|checkpoint\/keyboard-layouts|citizen\/phone-name|foreign\/fhir)\.ts$/;

const faults = [];
const sources = (await readdir("src", { recursive: true })).filter((file) => file.endsWith(".ts"));
const isTable = (file) => file.endsWith("words.ts");
const read = (file) => readFile(file, "utf8");

const COMMENT = /\/\/[^\n]*|\/\*[^]*?\*\//;
const REGULAR_EXPRESSION = /(?<=[(,=:[!&|?{};]\s*|return\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]])*\]|[^/\\\n])+\//;
const STRING = /(["'`])((?:\\[^]|(?!\1)[^\\])*)\1/;
const TOKENS = new RegExp([COMMENT, REGULAR_EXPRESSION, STRING].map((token) => token.source).join("|"), "g");

/** The string literals of a source, without those in comments. */
function* literals(source) {
  for (const { 2: text, index } of source.matchAll(TOKENS)) {
    if (text === undefined) continue;
    const before = source.slice(0, index);
    yield { text, before: before.slice(-80), line: before.split("\n").length };
  }
}

async function table(file) {
  const { code } = await transform(await read(join("src", file)), { loader: "ts", charset: "utf8" });
  const exported = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return Object.assign({}, ...Object.values(exported).filter((value) => typeof value === "object"));
}

function checkPair(place, pair) {
  const [zh = "", en = ""] = pair;
  const latin = LATIN.exec(zh.replace(NAMES, ""));
  if (pair.length !== 2 || zh === "" || en === "") faults.push(`${place} needs a Chinese and an English text`);
  if (latin) faults.push(`${place}: the Chinese text has "${latin[0]}"`);
  if (CHINESE.test(en)) faults.push(`${place}: the English text has Chinese characters`);
  if (zh.split("{}").length !== en.split("{}").length) faults.push(`${place}: only one text has {}`);
}

/** Each text of a page is replaced by a word of the tables, or names its language. */
function checkHtml(file, html, words) {
  for (const [, key] of html.matchAll(KEYS)) {
    if (!Object.hasOwn(words, key)) faults.push(`${file}: there is no word ${key}`);
  }
  // A page without a script says everything in both languages.
  if (!html.includes("<script") && html.includes(' lang="en"')) return;
  const visible = html.replace(/<!--[^]*?-->|<(script|style|noscript)[^]*?<\/\1>/g, "");
  for (const [, tag, text] of visible.matchAll(/<(\w[^>]*)>([^<]+)/g)) {
    const isFilledIn = tag.includes(" data-t=");
    if (/\p{Letter}/u.test(text) && !isFilledIn) faults.push(`${file}: a text outside the tables: ${text.trim()}`);
  }
  for (const [, name, text] of visible.matchAll(/ (aria-label|placeholder|title|alt|label)="([^"]+)"/g)) {
    faults.push(`${file}: ${name} has a text outside the tables: ${text}`);
  }
}

const tables = await Promise.all(sources.filter(isTable).map(async (file) => [file, await table(file)]));
const words = Object.assign({}, ...tables.map(([, words]) => words));
for (const [file, words] of tables) {
  for (const [key, pair] of Object.entries(words)) checkPair(`src/${file}: ${key}`, pair);
}

const keys = new Set();
const prefixes = [];
for (const file of sources) {
  const source = await read(join("src", file));
  for (const { text, before, line } of literals(source)) {
    if (isTable(file)) continue;
    keys.add(text);
    if (text.includes("_${")) prefixes.push(text.slice(0, text.indexOf("${")));
    if (/lookup\($/.test(before)) prefixes.push(`${text}_`);
    const fixed = text.replace(/\$\{[^}]*\}/g, "");
    const looksShown = CHINESE.test(fixed) || /\p{Letter}{2}[,.:;!?]? \p{Letter}|^\p{Lu}\p{Ll}/u.test(fixed);
    // The language button names the other language, in that language.
    const isLanguage = file === "shared/i18n.ts" && (text === "English" || text === "中文");
    if (looksShown && !isLanguage && !DATA.test(file) && !NO_TEXTS.test(text) && !NOT_SHOWN.test(before)) {
      faults.push(`src/${file}:${line}: a text outside the tables: ${text}`);
    }
  }
}

for (const file of (await readdir(".")).filter((file) => file.endsWith(".html"))) {
  const html = await read(file);
  checkHtml(file, html, words);
  for (const [, key] of html.matchAll(KEYS)) keys.add(key);
}
for (const word of Object.keys(words)) {
  const used = keys.has(word) || prefixes.some((prefix) => word.startsWith(prefix));
  if (!used) faults.push(`no page has the word ${word}`);
}

if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exitCode = 1;
}
