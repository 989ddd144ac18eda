import { records, type CsvFault, type Row } from "./csv.ts";

/** A file as rows that can be sent by themselves. */
export interface Rows {
  contentType: "text/csv" | "application/x-ndjson" | "application/fhir+ndjson";
  /** Before each batch: the column names of a CSV file. */
  header: string | null;
  rows: Row[];
  /** Of the file that failed rows are given back in. */
  extension: string;
}

/** Why nothing of a file is sent. */
export type Unfit = { word: "not_utf8" | "not_a_file"; line: null } | CsvFault;

/** The rows of a file, by what it has in it. */
export function read(bytes: ArrayBuffer): Rows | Unfit {
  let text;
  try {
    // A name in another encoding would be taken, and be destroyed.
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).trimEnd();
  } catch {
    return { word: "not_utf8", line: null };
  }
  return text.trimStart().startsWith("{") ? readJson(text) : readCsv(text);
}

function readCsv(text: string): Rows | Unfit {
  // What has no columns in its first line is not told about its quotation marks.
  if (!/^\s*[^\n]*,/.test(text)) return { word: "not_a_file", line: null };
  const all = records(text);
  if (!Array.isArray(all)) return all;
  const [header, ...rows] = all;
  if (header === undefined || rows.length === 0) return { word: "not_a_file", line: null };
  return { contentType: "text/csv", header: header.text, rows, extension: "csv" };
}

function readJson(text: string): Rows | Unfit {
  const rows = lines(text);
  const first = rows[0]?.text ?? "";
  if (!isJson(first)) return { word: "not_a_file", line: null };
  const fhir = /"resourceType"\s*:/.test(first);
  return { contentType: fhir ? "application/fhir+ndjson" : "application/x-ndjson", header: null, rows, extension: "ndjson" };
}

function lines(text: string): Row[] {
  const all = text.split("\n").map((line, at) => ({ line: at + 1, text: line.trim() }));
  return all.filter((row) => row.text !== "");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
