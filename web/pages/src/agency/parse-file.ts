/** The rows of a file in any of the accepted formats, read and checked before anything is sent. */
import { parseCsv, record as csvRecord, recordValues, separatorOf, type CsvError, type Row } from "./csv.ts";
import { decodeText, type Encoding } from "./encoding.ts";
import { FIELD_NAMES, type FieldName } from "./fields.ts";
import { fieldErrorsText } from "./reason-text.ts";
import type { EventRecord, Reading } from "./record.ts";
import { readTable, sentFields, sentRecord, type Column, type Table, type TableError } from "./table.ts";

/** A row that can be sent, or that has mistakes. */
export interface FileRow extends Row {
  /** The values as in the file; null for JSON. */
  values: (() => string[]) | null;
  /** What the row says, as far as the page knows it. */
  record: EventRecord;
}

/** A file, split into rows that can be sent in any batches. */
export interface ParsedFile {
  contentType: "text/csv" | "application/x-ndjson" | "application/fhir+ndjson";
  /** The column names of CSV, sent before each batch; null for other formats. */
  header: string | null;
  rows: FileRow[];
  /** Rows that the page cannot read, which are not sent. */
  mistakes: (FileRow & { id: string | null; why: () => string })[];
  /** The column headings as in the file; null for JSON. */
  columns: Column[] | null;
  /** The first rows as in the file. */
  sample: { line: number; values: string[]; record: EventRecord }[];
  assumed: EventRecord;
  /** Of a text file. */
  encoding: Encoding | null;
  /** Of a workbook. */
  sheet: { name: string; others: number } | null;
}

/** Why no row of a file is sent: a word of the page and its value. */
export interface FileError {
  word:
    | CsvError["word"]
    | TableError["word"]
    | "not_text"
    | "not_a_file"
    | "xls"
    | "xlsx_unread"
    | "xlsx_too_large"
    | "xlsx_not_loaded";
  value: string | number | FieldName[];
}

const MAX_WORKBOOK_BYTES = 20_000_000;
const SAMPLE_ROWS = 5;

/** The part of the page for workbooks, a bundle of its own, which delays no other. */
export async function loadXlsx(): Promise<typeof import("./xlsx.ts") | null> {
  return (import("/assets/xlsx.js" as string) as Promise<typeof import("./xlsx.ts")>).catch(() => null);
}

/** Tells the format by the content, not by the name. */
export async function parseFile(bytes: Uint8Array, agency: string | null): Promise<ParsedFile | FileError> {
  if (startsWith(bytes, [0xd0, 0xcf, 0x11, 0xe0])) return { word: "xls", value: "" };
  if (startsWith(bytes, [0x50, 0x4b, 3, 4])) return parseWorkbook(bytes, agency);
  const decoded = decodeText(bytes);
  if (decoded === null) return { word: "not_text", value: "" };
  // The text stays as it is: tabs at its end are empty values of its last row.
  const { encoding, text } = decoded;
  if (text.trimStart().startsWith("{")) return parseJsonLines(text, encoding);
  return parseCsvFile(text, encoding, agency);
}

function startsWith(bytes: Uint8Array, mark: number[]): boolean {
  return mark.every((byte, at) => bytes[at] === byte);
}

async function parseWorkbook(bytes: Uint8Array, agency: string | null): Promise<ParsedFile | FileError> {
  if (bytes.length > MAX_WORKBOOK_BYTES) return { word: "xlsx_too_large", value: "" };
  const xlsx = await loadXlsx();
  if (xlsx === null) return { word: "xlsx_not_loaded", value: "" };
  const sheet = xlsx.readSheet(bytes);
  if (typeof sheet === "string") return { word: sheet, value: "" };
  const { name, others, daysSince } = sheet;
  const table = { rows: sheet.rows.map(({ line, values }) => ({ line, values: () => values })) };
  const parsed = await parseTable(table, { agency, daysSince });
  return "word" in parsed ? parsed : { ...parsed, sheet: { name, others } };
}

async function parseCsvFile(text: string, encoding: Encoding, agency: string | null): Promise<ParsedFile | FileError> {
  // Excel reads and writes a first line that names the separator.
  const named = /^sep=([,;\t])\r?\n/i.exec(text)?.[0] ?? "";
  const body = text.slice(named.length);
  const separator = separatorOf(body.slice(0, Math.max(body.indexOf("\n"), 0) || undefined));
  // A file whose first line has no columns is no CSV, so its quotation marks are not reported.
  if (!new RegExp(`^\\s*[^\\n]*${separator}`).test(body)) return { word: "not_a_file", value: "" };
  const records = parseCsv(body, separator);
  if (!Array.isArray(records)) return { word: records.word, value: records.line + (named === "" ? 0 : 1) };
  const lineOf = (line: number): number => line + (named === "" ? 0 : 1);
  const rows = records.map(({ line, text }) => ({ line: lineOf(line), values: () => recordValues(text, separator) }));
  const parsed = await parseTable({ rows }, { agency, daysSince: null });
  return "word" in parsed ? parsed : { ...parsed, encoding };
}

async function parseTable(table: Table, reading: Reading): Promise<ParsedFile | FileError> {
  const read = await readTable(table, reading);
  if ("word" in read) return { word: read.word, value: read.value };
  if (read.rows.length === 0) return { word: "not_a_file", value: "" };
  const fields = sentFields(read);
  const good = read.rows.filter(({ errors }) => errors.length === 0);
  const bad = read.rows.filter(({ errors }) => errors.length > 0);
  return {
    contentType: "text/csv",
    header: csvRecord(fields),
    rows: good.map(({ line, values, record }) => ({ line, values, record, text: sentRecord(record, fields) })),
    mistakes: bad.map(({ line, values, record, errors }) => ({
      line,
      values,
      record,
      text: "",
      id: record.id ?? null,
      why: () => fieldErrorsText(errors),
    })),
    columns: read.columns,
    sample: read.rows.slice(0, SAMPLE_ROWS).map(({ line, values, record }) => ({ line, values: values(), record })),
    assumed: read.assumed,
    encoding: null,
    sheet: null,
  };
}

/** JSON is for programs: its rows go to the service as they are. */
function parseJsonLines(text: string, encoding: Encoding): ParsedFile | FileError {
  const rows = text.split("\n").map((line, index) => ({ line: index + 1, text: line.trim(), values: null }));
  const filled = rows.filter((row) => row.text !== "");
  const first = parseJson(filled[0]?.text ?? "");
  if (first === null) return { word: "not_a_file", value: "" };
  const isFhir = "resourceType" in first;
  return {
    contentType: isFhir ? "application/fhir+ndjson" : "application/x-ndjson",
    header: null,
    rows: filled.map((row) => ({ ...row, record: isFhir ? {} : flat(parseJson(row.text)) })),
    mistakes: [],
    columns: null,
    sample: filled.slice(0, SAMPLE_ROWS).map(({ line, text }) => ({ line, values: [text], record: {} })),
    assumed: {},
    encoding,
    sheet: null,
  };
}

function parseJson(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The fields of an event as texts. */
function flat(event: object | null): EventRecord {
  const { subject, data, ...own } = (event ?? {}) as Record<string, unknown>;
  const fields = { ...own, ...(subject as object), ...(data as object) } as Record<string, unknown>;
  const known = FIELD_NAMES.filter((name) => ["string", "number"].includes(typeof fields[name]));
  return Object.fromEntries(known.map((name) => [name, String(fields[name])]));
}
