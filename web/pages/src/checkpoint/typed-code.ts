/** Tells what a hand scanner typed. Pure: a text in, its meaning out. */
import { KEYBOARD_LAYOUTS, meantOn, plain } from "./keyboard-layouts.ts";

export type Typed =
  | { kind: "code"; code: string }
  /** More than one code. None is judged: whose verdict it would be is not known. */
  | { kind: "several" }
  /** Probably a document's number. */
  | { kind: "document"; number: string }
  /** A code typed with another keyboard layout, from which it cannot be restored. */
  | { kind: "layout" }
  | { kind: "other"; text: string };

const PREFIX = "YM1:";
/** EU Digital COVID Certificates and SMART Health Cards, in upper case. */
const EU = "HC1:";
const SMART = "SHC:/";
/** Base45 (RFC 9285 section 4.2). */
const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
/**
 * Where a code starts. After EU's prefix stands one of the four headers of a zlib stream (RFC 1950), so that the prefix
 * within another code's Base45 is not taken for a start.
 */
const START = /YM1:|HC1:(?=V7F|Y9F|6BF|NCF)|SHC:\/(?=\d)/g;
/** What may stand between two codes: white space and an AIM identifier of the symbology (ISO/IEC 15424). */
const NEXT = /^\s*(?:\][A-Z][0-9A-Z])?(?=YM1:|HC1:|SHC:\/)/;
/** A scanner's own suffix may be this long. */
const MAX_SUFFIX = 3;
/** A shorter text of foreign characters is not taken for a code. */
const MIN_FOREIGN = 100;
/** A resident identity card's number; a passport's or permit's. */
const DOCUMENT = /^(?:[0-9]{17}[0-9X]|[A-Z]{1,3}[0-9]{6,12})$/;

export function readTyped(typed: string): Typed {
  const text = plain(typed);
  const found = codesIn(text);
  if (found) return oneOf(found);
  // Begun like a code on this layout: not read in full. On another layout it would be a different code.
  if (hasPrefix(text)) return { kind: "other", text: text.trim() };
  const meant = KEYBOARD_LAYOUTS.map((layout) => meantOn(layout, typed));
  const restored = meant.map(codesIn).find((codes) => codes !== null);
  if (restored) return oneOf(restored);
  const foreign = text.length >= MIN_FOREIGN && /[^ -~]/.test(text);
  if (foreign || meant.some(hasPrefix)) return { kind: "layout" };
  const trimmed = text.trim();
  return DOCUMENT.test(trimmed) ? { kind: "document", number: trimmed } : { kind: "other", text: trimmed };
}

/** Whether the text has the start of a code, on any known layout. */
export function startsCode(typed: string): boolean {
  return hasPrefix(plain(typed)) || KEYBOARD_LAYOUTS.some((layout) => hasPrefix(meantOn(layout, typed)));
}

/** Whether the text of a QR code is a health code. Any other one is sent nowhere. */
export function isHealthCode(text: string): boolean {
  return text.startsWith(PREFIX) || text.startsWith(EU) || text.toUpperCase().startsWith(SMART);
}

/** Whether a code is of another system. */
export const isForeignCode = (code: string): boolean => isHealthCode(code) && !code.startsWith(PREFIX);

/** Whether a code says how long it is. The end of any other one is known only when nothing more is typed. */
export const saysItsLength = (code: string): boolean => code.startsWith(PREFIX);

const hasPrefix = (text: string): boolean => [PREFIX, EU, SMART].some((prefix) => text.includes(prefix));

function oneOf(codes: string[]): Typed {
  return new Set(codes).size === 1 ? { kind: "code", code: codes[0]! } : { kind: "several" };
}

/**
 * The codes from the first one on, if they are whole and fill the text; else null. A scanner's prefix and the rest of
 * an unfinished scan may stand before them.
 */
function codesIn(text: string): string[] | null {
  for (const { index } of text.matchAll(START)) {
    const codes = codesFrom(text, index);
    if (codes) return codes;
  }
  return null;
}

function codesFrom(text: string, start: number): string[] | null {
  const codes: string[] = [];
  for (let at: number | null = start; at !== null; ) {
    const end: number = codeEnd(text, at);
    if (!(end <= text.length)) return null;
    codes.push(text.slice(at, end).trimEnd());
    const rest = text.slice(end);
    const next = NEXT.exec(rest);
    if (!next && rest.trim().length > MAX_SUFFIX) return null;
    at = next ? end + next[0].length : null;
  }
  return codes;
}

/** The end of the code that starts at `at`; NaN if it is none. */
function codeEnd(text: string, at: number): number {
  if (text.startsWith(SMART, at)) {
    const digits = /^(?:\d+\/\d+\/)?\d+/.exec(text.slice(at + SMART.length));
    return digits ? at + SMART.length + digits[0].length : NaN;
  }
  const from = at + PREFIX.length;
  if (text.startsWith(EU, at)) {
    // It ends where another code starts, or at a character that is not its own.
    const next = [...text.slice(from).matchAll(START)].map(({ index }) => from + index);
    const foreign = [...text.slice(from)].findIndex((character) => !BASE45.includes(character));
    return Math.min(...next, foreign < 0 ? text.length : from + foreign);
  }
  const end = at + codeLength(text, at);
  return [...text.slice(from, end)].every((character) => BASE45.includes(character)) ? end : NaN;
}

/** Bytes behind the token: of a code of an earlier program; of a bare one the MAC; the moment, proof and MAC. */
const BEHIND_TOKEN: Record<number, number> = { 0x81: 0, 0x82: 9, 0x84: 5 + 66 + 9 };

/**
 * The number of characters of a yima code that starts at `at`, by its first bytes; NaN if they are not a code's. A code
 * may contain the prefix by chance, so the next prefix does not tell its end. Its bytes are an array (RFC 8949) whose
 * first item is a byte string with a length of one or two bytes. Base45 writes two bytes with three characters, and a
 * last one with two.
 */
function codeLength(text: string, at: number): number {
  const [first, second] = [0, 3].map((from) => {
    const digits = [...text.slice(at + PREFIX.length + from).slice(0, 3)].map((digit) => BASE45.indexOf(digit));
    return digits.length === 3 ? digits[0]! + 45 * digits[1]! + 45 * 45 * digits[2]! : NaN;
  }) as [number, number];
  const head = first & 0xff;
  const token = head === 0x58 ? 3 + Math.floor(second / 256) : head === 0x59 ? 4 + second : NaN;
  const bytes = token + (BEHIND_TOKEN[first >> 8] ?? NaN);
  return PREFIX.length + 3 * Math.floor(bytes / 2) + 2 * (bytes % 2);
}
