/** The encoding of a text file. */

export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "gb18030";

export interface DecodedText {
  text: string;
  encoding: Encoding;
}

const MARKS: readonly [Encoding, readonly number[]][] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/**
 * The text of a file: by its byte order mark; else UTF-8; else GB18030, in which Excel on a Chinese Windows saves CSV.
 * null if it is none of these, or no text.
 */
export function decodeText(bytes: Uint8Array): DecodedText | null {
  const marked = MARKS.find(([, mark]) => mark.every((byte, at) => bytes[at] === byte));
  const encodings = marked ? [marked[0]] : [...unmarkedUtf16(bytes), "utf-8" as const, "gb18030" as const];
  for (const encoding of encodings) {
    const text = decode(bytes, encoding);
    if (text !== null && !text.includes("\0")) return { text, encoding };
  }
  return null;
}

/** Half of the bytes of an ASCII text in UTF-16 are zero. */
function unmarkedUtf16(bytes: Uint8Array): Encoding[] {
  const start = bytes.subarray(0, 400);
  const zeros = (from: number): number => start.filter((byte, at) => at % 2 === from && byte === 0).length;
  if (zeros(1) > start.length / 4) return ["utf-16le"];
  return zeros(0) > start.length / 4 ? ["utf-16be"] : [];
}

function decode(bytes: Uint8Array, encoding: Encoding): string | null {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
