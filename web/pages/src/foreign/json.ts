/** JSON of unknown origin, and its members. Each function throws a `MalformedError` if the value is another one. */
import { expect, MalformedError } from "../code/cbor.ts";

export type Json = unknown;
export type JsonRecord = Record<string, Json>;

/** Deepest nesting. */
const MAX_DEPTH = 127;
/** Strings, with a colon behind the names of members, and the ends of objects and arrays. */
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;

/** No object names a member twice. */
export function parse(json: string): Json {
  try {
    const value: Json = JSON.parse(json);
    expect(isUnambiguous(json));
    return value;
  } catch {
    throw new MalformedError();
  }
}

function isUnambiguous(json: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, text, colon] of json.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      open.push(new Set());
      if (open.length > MAX_DEPTH) return false;
    } else if (text === undefined) open.pop();
    else {
      const read = JSON.parse(text) as string;
      // Half of a surrogate pair is no character (RFC 8259 section 8.2).
      if (/\p{Cs}/u.test(read)) return false;
      if (colon === undefined) continue;
      const [names, name] = [open.at(-1)!, read];
      if (names.has(name)) return false;
      names.add(name);
    }
  }
  return true;
}

export function record(value: Json): JsonRecord {
  expect(typeof value === "object" && value !== null && !Array.isArray(value));
  return value as JsonRecord;
}

export function list(value: Json): Json[] {
  expect(Array.isArray(value));
  return value;
}

export function text(value: Json): string {
  expect(typeof value === "string");
  return value;
}

export function number(value: Json): number {
  expect(typeof value === "number" && Number.isFinite(value));
  return value as number;
}

/** What `read` reads; null of null, and of nothing. */
export function optional<T>(value: Json, read: (value: Json) => T): T | null {
  return value === undefined || value === null ? null : read(value);
}
