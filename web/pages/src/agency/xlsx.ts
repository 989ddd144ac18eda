/**
 * Reads and writes Excel's `.xlsx` (ECMA-376): a bundle of its own, which the page loads after the others. Only what a
 * list needs: the texts of the first visible sheet, and dates as texts.
 */
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { serialTime } from "./serial-time.ts";

/** The first visible sheet of a workbook. */
export interface Sheet {
  name: string;
  /** How many other sheets are visible. */
  others: number;
  /** Rows that are not empty, all of one width. */
  rows: { line: number; values: string[] }[];
  /** Since when the workbook counts days. */
  daysSince: 1900 | 1904;
}

export type SheetError = "xlsx_unread" | "xlsx_too_large";

/** All parts together, unpacked; a list of 100,000 rows has about 40 MB. A ZIP file can expand a thousandfold. */
const MAX_UNPACKED_BYTES = 80_000_000;
const MAX_ROWS = 100_000;
const MAX_COLUMNS = 200;

class TooLargeError extends Error {}

export function readSheet(bytes: Uint8Array): Sheet | SheetError {
  try {
    return read(bytes);
  } catch (error) {
    return error instanceof TooLargeError ? "xlsx_too_large" : "xlsx_unread";
  }
}

function read(bytes: Uint8Array): Sheet {
  const parts = new Parts(bytes);
  const workbook = parts.xml("xl/workbook.xml");
  const visible = all(workbook, "sheet").filter((sheet) => !sheet.getAttribute("state")?.includes("idden"));
  const relations = new Map(
    all(parts.xml("xl/_rels/workbook.xml.rels"), "Relationship").map((relation) => [
      relation.getAttribute("Id"),
      `xl/${relation.getAttribute("Target")}`.replace(/^xl\/\/?xl\//, "xl/"),
    ]),
  );
  const idOf = (sheet: Element): string | undefined =>
    [...sheet.attributes].find((attribute) => attribute.name.endsWith(":id"))?.value;
  const path = relations.get(idOf(visible[0]!) ?? null)!;
  const strings = parts.has("xl/sharedStrings.xml") ? all(parts.xml("xl/sharedStrings.xml"), "si").map(textOf) : [];
  const isDate = parts.has("xl/styles.xml") ? dateStyles(parts.xml("xl/styles.xml")) : [];
  const since1904 = /^(1|true)$/.test(all(workbook, "workbookPr")[0]?.getAttribute("date1904") ?? "");

  const rows: Sheet["rows"] = [];
  let line = 0;
  for (const row of all(parts.xml(path), "row")) {
    line = Number(row.getAttribute("r") ?? line + 1);
    const values: string[] = [];
    let column = -1;
    for (const cell of row.children) {
      if (cell.localName !== "c") continue;
      column = columnOf(cell.getAttribute("r")) ?? column + 1;
      if (column >= MAX_COLUMNS) break;
      values[column] = cellText(cell, strings, isDate, since1904).trim();
    }
    if (values.every((value) => value === "")) continue;
    if (rows.length === MAX_ROWS) throw new TooLargeError();
    rows.push({ line, values: Array.from(values, (value) => value ?? "") });
  }
  const width = rows.reduce((most, { values }) => Math.max(most, values.length), 0);
  for (const { values } of rows) while (values.length < width) values.push("");
  const daysSince = since1904 ? 1904 : 1900;
  return { name: visible[0]!.getAttribute("name") ?? "", others: visible.length - 1, rows, daysSince };
}

/** The parts of a workbook, unpacked one by one. */
class Parts {
  readonly #bytes: Uint8Array;
  readonly #sizes = new Map<string, number>();
  #left = MAX_UNPACKED_BYTES;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const list = ({ name, originalSize }: { name: string; originalSize: number }): boolean => {
      this.#sizes.set(name, originalSize);
      return false;
    };
    unzipSync(bytes, { filter: list });
  }

  has(path: string): boolean {
    return this.#sizes.has(path);
  }

  xml(path: string): Document {
    this.#left -= this.#sizes.get(path) ?? Infinity;
    // The size is what the file claims. fflate unpacks no more than that.
    if (this.has(path) && this.#left < 0) throw new TooLargeError();
    const part = unzipSync(this.#bytes, { filter: ({ name }) => name === path })[path];
    if (part === undefined) throw new Error(`no ${path}`);
    const text = strFromU8(part);
    // An entity can stand for a text a million times its size; workbooks have none.
    if (text.includes("<!DOCTYPE")) throw new Error("a document type");
    const xml = new DOMParser().parseFromString(text, "application/xml");
    if (xml.querySelector("parsererror")) throw new Error(`no XML in ${path}`);
    return xml;
  }
}

function all(parent: Document | Element, name: string): Element[] {
  return [...parent.getElementsByTagNameNS("*", name)];
}

/** The text of a string, without the pronunciation of its characters (`rPh`). */
function textOf(element: Element): string {
  const texts = all(element, "t").filter((text) => text.parentElement?.localName !== "rPh");
  return texts.map((text) => text.textContent ?? "").join("");
}

/** The index of the column of a cell such as `AB12`; null without a reference. */
function columnOf(reference: string | null): number | null {
  const letters = /^[A-Z]+/.exec(reference ?? "")?.[0];
  return letters ? [...letters].reduce((at, letter) => at * 26 + letter.charCodeAt(0) - 64, 0) - 1 : null;
}

function cellText(cell: Element, strings: string[], isDate: boolean[], since1904: boolean): string {
  const type = cell.getAttribute("t") ?? "n";
  if (type === "inlineStr") return textOf(cell);
  const value = all(cell, "v")[0]?.textContent ?? "";
  if (type === "s") return strings[Number(value)] ?? "";
  if (type !== "n" || value === "") return value;
  const number = Number(value);
  if (isDate[Number(cell.getAttribute("s") ?? 0)]) return serialTime(number, since1904);
  // Beyond 15 digits a spreadsheet has lost the last ones; the number then stays in the form that shows it.
  return Number.isInteger(number) && Math.abs(number) < 1e15 ? String(number) : value;
}

/** For each cell style whether it shows a number as a date (ECMA-376 part 1 section 18.8.30). */
function dateStyles(styles: Document): boolean[] {
  const own = new Map(
    all(styles, "numFmt").map((format) => [format.getAttribute("numFmtId"), format.getAttribute("formatCode") ?? ""]),
  );
  const isDate = (id: string): boolean => {
    const code = own.get(id);
    // Without quoted texts and what stands in brackets, only the letters of dates are left.
    if (code !== undefined) return /[ymdhs]/i.test(code.replace(/"[^"]*"|\[[^\]]*\]|\\./g, "").replace(/general/i, ""));
    const number = Number(id);
    const ranges = [[14, 22], [27, 36], [45, 47], [50, 58]] as const;
    return ranges.some(([from, to]) => from <= number && number <= to);
  };
  const formats = all(styles, "cellXfs")[0];
  return formats ? [...formats.children].map((format) => isDate(format.getAttribute("numFmtId") ?? "0")) : [];
}

const MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE = "http://schemas.openxmlformats.org/package/2006";

/**
 * A workbook of texts. Cells and columns have the format "text", so that a number of 18 digits which is typed into them
 * keeps its digits, and nothing in them is a formula.
 */
export function writeWorkbook(
  sheets: { name: string; rows: readonly (readonly string[])[] }[],
): Uint8Array<ArrayBuffer> {
  const each = (write: (n: number, name: string) => string): string =>
    sheets.map(({ name }, at) => write(at + 1, name)).join("");
  const format = (number: number, more = ""): string =>
    `<xf numFmtId="${number}" fontId="0" fillId="0" borderId="0"${more}/>`;
  const content = "application/vnd.openxmlformats-officedocument.spreadsheetml";
  const files: Record<string, string> = {
    "[Content_Types].xml":
      `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ` +
      `ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
      `<Override PartName="/xl/workbook.xml" ContentType="${content}.sheet.main+xml"/>` +
      `<Override PartName="/xl/styles.xml" ContentType="${content}.styles+xml"/>` +
      `${each((n) => `<Override PartName="/xl/worksheets/sheet${n}.xml" ContentType="${content}.worksheet+xml"/>`)}` +
      `</Types>`,
    "_rels/.rels":
      `<Relationships xmlns="${PACKAGE}/relationships">` +
      `<Relationship Id="r1" Type="${RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    "xl/workbook.xml":
      `<workbook xmlns="${MAIN}" xmlns:r="${RELATIONS}"><sheets>` +
      `${each((n, name) => `<sheet name="${escaped(name)}" sheetId="${n}" r:id="r${n}"/>`)}</sheets></workbook>`,
    "xl/_rels/workbook.xml.rels":
      `<Relationships xmlns="${PACKAGE}/relationships">` +
      `${each((n) => `<Relationship Id="r${n}" Type="${RELATIONS}/worksheet" Target="worksheets/sheet${n}.xml"/>`)}` +
      `<Relationship Id="s" Type="${RELATIONS}/styles" Target="styles.xml"/></Relationships>`,
    "xl/styles.xml":
      `<styleSheet xmlns="${MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>` +
      `<fills count="2"><fill><patternFill patternType="none"/></fill>` +
      `<fill><patternFill patternType="gray125"/></fill></fills>` +
      `<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
      `<cellStyleXfs count="1">${format(0)}</cellStyleXfs>` +
      `<cellXfs count="2">${format(0, ' xfId="0"')}${format(49, ' xfId="0" applyNumberFormat="1"')}</cellXfs>` +
      `</styleSheet>`,
  };
  sheets.forEach(({ rows }, at) => {
    const width = Math.max(1, ...rows.slice(0, 1).map((row) => row.length));
    const cell = (value: string): string =>
      `<c t="inlineStr" s="1"><is><t xml:space="preserve">${escaped(value)}</t></is></c>`;
    files[`xl/worksheets/sheet${at + 1}.xml`] =
      `<worksheet xmlns="${MAIN}"><cols><col min="1" max="${width}" width="24" style="1" customWidth="1"/></cols>` +
      `<sheetData>${rows.map((row) => `<row>${row.map(cell).join("")}</row>`).join("")}</sheetData></worksheet>`;
  });
  const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
  const packed = Object.entries(files).map(([path, text]) => [path, strToU8(declaration + text)]);
  return zipSync(Object.fromEntries(packed) as Record<string, Uint8Array>) as Uint8Array<ArrayBuffer>;
}

function escaped(text: string): string {
  const marks: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // XML 1.0 has no control characters.
  return text.replace(/[\0-\x08\v\f\x0e-\x1f]/g, "").replace(/[&<>"]/g, (mark) => marks[mark]!);
}
