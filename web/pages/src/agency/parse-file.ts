/** The rows of a file in any of the accepted formats. */
import { parseCsv, type CsvError, type Row } from "./csv.ts";

/** A file, split into rows that can be sent in any batches. */
export interface ParsedFile {
  contentType: "text/csv" | "application/x-ndjson" | "application/fhir+ndjson";
  /** The column names of a CSV file, sent before each batch; null for other formats. */
  header: string | null;
  rows: Row[];
  /** Extension of the downloaded file of failed rows. */
  extension: string;
}

/** Why no row of a file is sent. */
export type FileError = { word: "not_utf8" | "not_a_file"; line: null } | CsvError;

/** Tells the format by the content, not by the name. */
export function parseFile(bytes: ArrayBuffer): ParsedFile | FileError {
  let text;
  try {
    // Names in another encoding would be accepted as garbage.
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).trimEnd();
  } catch {
    return { word: "not_utf8", line: null };
  }
  return text.trimStart().startsWith("{") ? parseJsonLines(text) : parseCsvFile(text);
}

function parseCsvFile(text: string): ParsedFile | FileError {
  // A file whose first line has no columns is no CSV, so its quotation marks are not reported.
  if (!/^\s*[^\n]*,/.test(text)) return { word: "not_a_file", line: null };
  const records = parseCsv(text);
  if (!Array.isArray(records)) return records;
  const [header, ...rows] = records;
  if (header === undefined || rows.length === 0) return { word: "not_a_file", line: null };
  return { contentType: "text/csv", header: header.text, rows, extension: "csv" };
}

function parseJsonLines(text: string): ParsedFile | FileError {
  const rows = nonEmptyLines(text);
  const first = rows[0]?.text ?? "";
  if (!isJson(first)) return { word: "not_a_file", line: null };
  const isFhir = /"resourceType"\s*:/.test(first);
  const contentType = isFhir ? "application/fhir+ndjson" : "application/x-ndjson";
  return { contentType, header: null, rows, extension: "ndjson" };
}

function nonEmptyLines(text: string): Row[] {
  const lines = text.split("\n").map((line, index) => ({ line: index + 1, text: line.trim() }));
  return lines.filter((row) => row.text !== "");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
