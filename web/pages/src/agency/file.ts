/** A file as rows that can be sent by themselves. */
export interface Rows {
  contentType: "text/csv" | "application/x-ndjson" | "application/fhir+ndjson";
  /** Before each batch: the column names of a CSV file. */
  header: string | null;
  rows: Row[];
  /** Of the file that failed rows are given back in. */
  extension: string;
}

export interface Row {
  /** In the file, from 1. */
  line: number;
  text: string;
}

/** The rows of a file, by what it has in it; null if it is nothing that can be sent. */
export function read(text: string): Rows | null {
  const whole = text.replace(/^\uFEFF/, "").trimEnd();
  return whole.trimStart().startsWith("{") ? readJson(whole) : readCsv(whole);
}

function readCsv(text: string): Rows | null {
  const [header, ...rows] = split(text);
  if (header === undefined || rows.length === 0 || header.text.startsWith("{") || !header.text.includes(",")) return null;
  return { contentType: "text/csv", header: header.text, rows, extension: "csv" };
}

function readJson(text: string): Rows | null {
  const rows = lines(text);
  const first = rows[0]?.text ?? "";
  if (!isJson(first)) return null;
  const fhir = /"resourceType"\s*:/.test(first);
  return { contentType: fhir ? "application/fhir+ndjson" : "application/x-ndjson", header: null, rows, extension: "ndjson" };
}

function lines(text: string): Row[] {
  const all = text.split("\n").map((line, at) => ({ line: at + 1, text: line.trim() }));
  return all.filter((row) => row.text !== "");
}

/** CSV records: a line break within quotes is part of a value (RFC 4180 section 2). */
function split(text: string): Row[] {
  const records: Row[] = [];
  let [start, startLine, line, quoted] = [0, 1, 1, false];
  for (let at = 0; at <= text.length; at += 1) {
    const character = text[at];
    if (character === '"') quoted = !quoted;
    if (character !== undefined && (character !== "\n" || quoted)) {
      if (character === "\n") line += 1;
      continue;
    }
    const record = text.slice(start, at).trim();
    // Spreadsheets write their empty rows too; the service passes over them, and would answer for fewer rows than were sent.
    if (!/^[,"\s]*$/.test(record)) records.push({ line: startLine, text: record });
    [start, line] = [at + 1, line + 1];
    startLine = line;
  }
  return records;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
