/** Records of CSV: reading them, and writing them. */

/** A row of a file. */
export interface Row {
  /** Its first line in the file, from 1. */
  line: number;
  text: string;
}

/** Excel separates values as its country does: by commas, semicolons or tabs. */
export type Separator = "," | ";" | "\t";

/** Why a file is not valid CSV, and on which line. */
export interface CsvError {
  word: "quote_misplaced" | "quote_open" | "line_end";
  line: number;
}

/**
 * The non-empty records of a CSV file (RFC 4180 section 2); a line break within quotes is part of a value. The service
 * follows the same rules, so both count the same records.
 */
export function parseCsv(text: string, separator: Separator): Row[] | CsvError {
  const rows: Row[] = [];
  const ends = `${separator}"\r\n`;
  let [at, line] = [0, 1];
  while (at < text.length) {
    const [start, startLine] = [at, line];
    let hasContent = false;
    for (;;) {
      const quoted = text[at] === '"';
      let end = quoted ? closingQuote(text, at + 1) : unquotedEnd(text, at, ends);
      if (end === -1) return { word: "quote_open", line };
      // Spreadsheets export empty rows too. The service skips them and sends no answer for them.
      hasContent ||= /\P{White_Space}/u.test(quoted ? text.slice(at + 1, end) : text.slice(at, end));
      if (quoted) {
        line += countLineBreaks(text.slice(at, end));
        end += 1;
      }
      const next = text[end];
      at = end + 1;
      if (next === separator) continue;
      if (next === undefined || next === "\n" || text.startsWith("\r\n", end)) {
        if (hasContent) rows.push({ line: startLine, text: text.slice(start, end) });
        at += next === "\r" ? 1 : 0;
        line += 1;
        break;
      }
      return { word: next === "\r" ? "line_end" : "quote_misplaced", line };
    }
  }
  return rows;
}

/** The separator that the first line has most of, outside quotation marks. */
export function separatorOf(line: string): Separator {
  const plain = line.replace(/"[^"]*"/g, "");
  const count = (separator: Separator): number => plain.split(separator).length;
  const all: Separator[] = [",", ";", "\t"];
  return all.reduce((best, separator) => (count(separator) > count(best) ? separator : best));
}

/** The values of a record that `parseCsv` returned, without the apostrophe that `safeRecord` sets. */
export function recordValues(record: string, separator: Separator): string[] {
  const values: string[] = [];
  const ends = `${separator}"\r\n`;
  for (let at = 0; at <= record.length; ) {
    const quoted = record[at] === '"';
    const end = quoted ? closingQuote(record, at + 1) : unquotedEnd(record, at, ends);
    const value = quoted ? record.slice(at + 1, end).replaceAll('""', '"') : record.slice(at, end);
    values.push(/^'[=+\-@\t\r]/.test(value) ? value.slice(1) : value);
    at = end + (quoted ? 2 : 1);
  }
  return values;
}

/** A record; values are quoted where they have to be. */
export function record(values: readonly string[]): string {
  return values.map((value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)).join(",");
}

/**
 * A record that a spreadsheet can open. A value that would be a formula there (CWE-1236) gets an apostrophe, which
 * `recordValues` drops again.
 */
export function safeRecord(values: readonly string[]): string {
  return record(values.map((value) => (/^[=+\-@\t\r]/.test(value) ? `'${value}` : value)));
}

/** Number of line breaks (LF) in the text. */
export function countLineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** Index of the end of an unquoted value. A quotation mark ends it too: it is not allowed in such a value. */
function unquotedEnd(text: string, from: number, ends: string): number {
  let at = from;
  while (at < text.length && !ends.includes(text[at]!)) at += 1;
  return at;
}

/** Index of the first quotation mark that is not doubled, which closes a quoted value; -1 without one. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}
