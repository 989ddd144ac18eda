/** A table of a file, in the columns and words of its sender, read into the service's CSV. */
import { record as csvRecord } from "./csv.ts";
import { FIELD_NAMES, fieldOf, ownFields, requiredFields, type FieldName, type Kind } from "./fields.ts";
import { REASON } from "./reasons.ts";
import { kindOf, readRecord, type EventRecord, type FieldError, type Reading } from "./record.ts";

/** The rows of a table as texts, with their lines in the file. */
export interface Table {
  rows: { line: number; values: () => string[] }[];
}

/** A column of a file. */
export interface Column {
  /** As in the file. */
  heading: string;
  /** null: the column is not sent. */
  field: FieldName | null;
}

export interface TableRow {
  line: number;
  /** The values as in the file. */
  values: () => string[];
  record: EventRecord;
  errors: FieldError[];
}

export interface ReadTable {
  columns: Column[];
  rows: TableRow[];
  /** Fields without a column that every row gets: they follow from the other columns. */
  assumed: EventRecord;
}

/** Why no row of a table is sent. */
export type TableError =
  | { word: "columns_unknown"; value: "" }
  | { word: "column_twice" | "columns_missing"; value: FieldName[] };

/** A title may stand above the column headings. */
const MAX_TITLE_ROWS = 10;
/** Rows between two pauses, in which the page can draw and be used. */
const ROWS_AT_ONCE = 20_000;

export async function readTable(table: Table, reading: Reading): Promise<ReadTable | TableError> {
  const at = headingsAt(table);
  if (at === -1) return { word: "columns_unknown", value: "" };
  const columns = table.rows[at]!.values().map((heading) => ({ heading: heading.trim(), field: fieldOf(heading) }));
  const fields = columns.flatMap(({ field }) => field ?? []);
  const twice = fields.filter((field, at) => fields.indexOf(field) !== at);
  if (twice.length > 0) return { word: "column_twice", value: [...new Set(twice)] };
  const assumed = assumptions(fields);
  // Where each row names its kind, the fields of `data` differ from row to row.
  const missing = requiredFields(kindOf(assumed)).filter(
    (field) => !fields.includes(field) && assumed[field] === undefined,
  );
  if (missing.length > 0) return { word: "columns_missing", value: missing };

  const rows: TableRow[] = [];
  for (const { line, values } of table.rows.slice(at + 1)) {
    rows.push({ line, values, ...readRow(values(), columns, assumed, reading) });
    if (rows.length % ROWS_AT_ONCE === 0) await new Promise((done) => setTimeout(done));
  }
  return { columns, rows, assumed };
}

function readRow(values: string[], columns: Column[], assumed: EventRecord, reading: Reading) {
  const raw: EventRecord = { ...assumed };
  columns.forEach(({ field }, at) => {
    if (field !== null) raw[field] = values[at] ?? "";
  });
  const { record, errors } = readRecord(raw, reading);
  // A value too many or too few shifts all that follow it.
  const isComplete = values.length >= columns.length && values.slice(columns.length).every((value) => !value.trim());
  const count = { pointer: "", detail: REASON.fieldCount.replace("{}", String(columns.length)) };
  return { record, errors: isComplete ? errors : [count] };
}

/** The columns that the service gets, in this order. */
export function sentFields({ columns, assumed }: ReadTable): FieldName[] {
  return FIELD_NAMES.filter((name) => assumed[name] !== undefined || columns.some(({ field }) => field === name));
}

/** A row in the service's columns. */
export function sentRecord(record: EventRecord, fields: readonly FieldName[]): string {
  return csvRecord(fields.map((name) => record[name] ?? ""));
}

/** The first row with two known headings. */
function headingsAt({ rows }: Table): number {
  return rows.slice(0, MAX_TITLE_ROWS).findIndex(({ values }) => values().filter(fieldOf).length >= 2);
}

/** A list of results alone need not say so in each row, and resident numbers are what most lists have. */
function assumptions(fields: FieldName[]): EventRecord {
  const assumed: EventRecord = {};
  if (!fields.includes("document_type")) assumed.document_type = "cn_resident_id";
  if (!fields.includes("kind") && fields.includes("guardian_document_number")) {
    assumed.kind = "guardianship";
    if (!fields.includes("guardian_document_type")) assumed.guardian_document_type = "cn_resident_id";
  } else if (!fields.includes("kind")) {
    const kinds = (["test_result", "vaccination", "colour_assignment", "retraction"] as const).filter((kind) =>
      ownFields(kind).some((field) => fields.includes(field)),
    );
    if (kinds.length === 1) assumed.kind = kinds[0]!;
    else if (kinds.length === 0 && fields.includes("name")) assumed.kind = "identity";
  }
  return assumed;
}

/** How many rows there are of each kind, and of tests and decisions of each result and colour. */
export function countContents(rows: Iterable<{ record: EventRecord }>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { record } of rows) {
    const kind: Kind | null = kindOf(record);
    if (kind === null) continue;
    const key = [kind, record.result ?? record.colour ?? ""].join(" ").trim();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
