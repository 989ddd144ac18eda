/**
 * CBOR (RFC 8949) of unknown origin, in any of its forms: issuers of other systems write them all. yima's own codes have
 * one form alone (`code/cbor.ts`).
 */
import { expect, MalformedError, type Bytes } from "../code/cbor.ts";

/** Deepest nesting. An EU certificate has 6 levels. */
const MAX_DEPTH = 16;
/** Most entries of a map. An EU certificate has up to 12. */
const MAX_ENTRIES = 64;
/** The tag of a date and time as text (section 3.4.1), which some issuers write. */
const DATE_TIME = 0n;
const BREAK = 0xff;

/** An integer is a `bigint`, a float a `number`. */
export type Item = bigint | number | string | boolean | null | Bytes | Item[] | Entries | Tagged;
/** The entries of a map: integers and texts by themselves. */
export type Entries = Map<bigint | string, Item>;

export class Tagged {
  readonly tag: bigint;
  readonly item: Item;

  constructor(tag: bigint, item: Item) {
    this.tag = tag;
    this.item = item;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text in UTF-8. Throws a `MalformedError` if it is none. */
export function decodeText(bytes: Bytes): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MalformedError();
  }
}

/** One item and nothing after it. Throws a `MalformedError` if it is none, or nested too deeply, or has a key twice. */
export function readItem(bytes: Bytes): Item {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const item = read(MAX_DEPTH);
  expect(at === bytes.length);
  return item;

  function take(length: number | bigint): number {
    expect(length <= bytes.length - at);
    const from = at;
    at += Number(length);
    return from;
  }

  function argument(info: number): bigint {
    switch (info) {
      case 24:
        return BigInt(view.getUint8(take(1)));
      case 25:
        return BigInt(view.getUint16(take(2)));
      case 26:
        return BigInt(view.getUint32(take(4)));
      case 27:
        return view.getBigUint64(take(8));
      default:
        expect(info < 24);
        return BigInt(info);
    }
  }

  /** Whether an item without a length ends here; then its end is read. */
  function ends(): boolean {
    expect(at < bytes.length);
    if (bytes[at] !== BREAK) return false;
    at += 1;
    return true;
  }

  function read(depth: number): Item {
    expect(depth > 0);
    const first = view.getUint8(take(1));
    const [major, info] = [first >> 5, first & 0x1f];
    const isOpen = info === 31 && major >= 2 && major <= 5;
    if (major === 7) return simple(info);
    const n = isOpen ? null : argument(info);
    switch (major) {
      case 0:
        return n!;
      case 1:
        return -1n - n!;
      case 2:
        return string(major, n);
      case 3:
        return decodeText(string(major, n));
      case 4: {
        const items: Item[] = [];
        while (n === null ? !ends() : items.length < n) items.push(read(depth - 1));
        return items;
      }
      case 5:
        return entries(n, depth);
      default: {
        const inner = read(depth - 1);
        return n === DATE_TIME && typeof inner === "string" ? inner : new Tagged(n!, inner);
      }
    }
  }

  /** A string of a length, or in pieces that each have one. */
  function string(major: number, length: bigint | null): Bytes {
    if (length !== null) {
      const from = take(length);
      return bytes.subarray(from, at);
    }
    const pieces: number[] = [];
    while (!ends()) {
      const first = view.getUint8(take(1));
      expect(first >> 5 === major);
      const from = take(argument(first & 0x1f));
      const piece = bytes.subarray(from, at);
      // Each piece of a text is a text.
      if (major === 3) decodeText(piece);
      pieces.push(...piece);
    }
    return Uint8Array.from(pieces);
  }

  function entries(n: bigint | null, depth: number): Entries {
    expect(n === null || n <= MAX_ENTRIES);
    const map: Entries = new Map();
    while (n === null ? !ends() : map.size < n) {
      const key = read(depth - 1);
      expect((typeof key === "bigint" || typeof key === "string") && !map.has(key) && map.size < MAX_ENTRIES);
      map.set(key, read(depth - 1));
    }
    return map;
  }

  function simple(info: number): Item {
    switch (info) {
      case 20:
      case 21:
        return info === 21;
      case 22:
      case 23:
        return null;
      case 25:
        return half(view.getUint16(take(2)));
      case 26:
        return view.getFloat32(take(4));
      case 27:
        return view.getFloat64(take(8));
      default:
        throw new MalformedError();
    }
  }
}

/** A float of two bytes (appendix D). */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  const size =
    exponent === 0 ? fraction * 2 ** -24
    : exponent === 31 ? (fraction === 0 ? Infinity : NaN)
    : (fraction + 1024) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

/** The value of a key in a map; undefined without it, and of anything else. */
export function get(item: Item | undefined, key: bigint | string): Item | undefined {
  return item instanceof Map ? item.get(key) : undefined;
}

/** Without its tags. */
export function untagged(item: Item | undefined): Item | undefined {
  return item instanceof Tagged ? untagged(item.item) : item;
}
