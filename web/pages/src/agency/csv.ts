/** A row of a file. */
export interface Row {
  /** In the file, from 1. */
  line: number;
  text: string;
}

/** Why a file is no CSV, and where. */
export interface CsvFault {
  word: "quote_misplaced" | "quote_open" | "line_end";
  line: number;
}

/**
 * The records of a CSV file with something in them (RFC 4180 section 2): a line break within quotes is part of a value. The
 * service goes by the same rules, so that both count the same records.
 */
export function records(text: string): Row[] | CsvFault {
  const found: Row[] = [];
  let [at, line] = [0, 1];
  while (at < text.length) {
    const [start, startLine] = [at, line];
    let something = false;
    for (;;) {
      const quoted = text[at] === '"';
      let end = quoted ? closing(text, at + 1) : valueEnd(text, at);
      if (end === -1) return { word: "quote_open", line };
      // Spreadsheets write their empty rows too; the service passes over them and gives no answer for them.
      something ||= /\P{White_Space}/u.test(quoted ? text.slice(at + 1, end) : text.slice(at, end));
      if (quoted) {
        line += breaks(text.slice(at, end));
        end += 1;
      }
      const next = text[end];
      at = end + 1;
      if (next === ",") continue;
      if (next === undefined || next === "\n" || text.startsWith("\r\n", end)) {
        if (something) found.push({ line: startLine, text: text.slice(start, end) });
        at += next === "\r" ? 1 : 0;
        line += 1;
        break;
      }
      return { word: next === "\r" ? "line_end" : "quote_misplaced", line };
    }
  }
  return found;
}

/** How many lines end within it. */
export function breaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** Where a value without quotes ends. A quotation mark ends it too, for there may be none in it. */
function valueEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && !',"\r\n'.includes(text[at]!)) at += 1;
  return at;
}

/** The mark that closes a quoted value: one that is not doubled; -1 without one. */
function closing(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}
