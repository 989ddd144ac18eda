/** The records of a CSV file. */

/** A row of a file. */
export interface Row {
  /** Its first line in the file, from 1. */
  line: number;
  text: string;
}

/** Why a file is not valid CSV, and on which line. */
export interface CsvError {
  word: "quote_misplaced" | "quote_open" | "line_end";
  line: number;
}

/**
 * The non-empty records of a CSV file (RFC 4180 section 2); a line break within quotes is part of a value. The service
 * follows the same rules, so both count the same records.
 */
export function parseCsv(text: string): Row[] | CsvError {
  const rows: Row[] = [];
  let [at, line] = [0, 1];
  while (at < text.length) {
    const [start, startLine] = [at, line];
    let hasContent = false;
    for (;;) {
      const quoted = text[at] === '"';
      let end = quoted ? closingQuote(text, at + 1) : unquotedEnd(text, at);
      if (end === -1) return { word: "quote_open", line };
      // Spreadsheets export empty rows too. The service skips them and sends no answer for them.
      hasContent ||= /\P{White_Space}/u.test(quoted ? text.slice(at + 1, end) : text.slice(at, end));
      if (quoted) {
        line += countLineBreaks(text.slice(at, end));
        end += 1;
      }
      const next = text[end];
      at = end + 1;
      if (next === ",") continue;
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

/** Number of line breaks (LF) in the text. */
export function countLineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** Index of the end of an unquoted value. A quotation mark ends it too: it is not allowed in such a value. */
function unquotedEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && !',"\r\n'.includes(text[at]!)) at += 1;
  return at;
}

/** Index of the first quotation mark that is not doubled, which closes a quoted value; -1 without one. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}
