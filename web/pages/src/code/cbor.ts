/**
 * CBOR in its one deterministic form (RFC 8949 section 4.2.1), of the kinds that codes and offline bundles have: no
 * tags, no floats, no lengths without end. The libraries of this field read every form.
 */

/** Bytes that are not shared between threads: WebCrypto takes no others. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** There is no such item, or not in this form. */
export class MalformedError extends Error {}

const UINT = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const SIMPLE = 7;
const FALSE = 20n;
const TRUE = 21n;
const NULL = 22n;

/** Deepest nesting of an item that is passed over. */
const MAX_DEPTH = 8;
const MAX_INT64 = 2n ** 63n - 1n;
/** The least argument of a head with so many bytes of its own: a smaller one has a shorter form. */
const LEAST = new Map([
  [0, 0n],
  [1, 24n],
  [2, 0x100n],
  [4, 0x1_0000n],
  [8, 0x1_0000_0000n],
]);

/** The end of the year 9999 in seconds since 1970, up to a few hours: later times count as it. */
const LATEST = 253_402_207_200;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function expect(holds: boolean): asserts holds {
  if (!holds) throw new MalformedError();
}

/** Reads items one after the other. Each method throws a `MalformedError` if the next item is another one. */
export class Reader {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** What has been read so far. */
  before(): Bytes {
    return this.#bytes.subarray(0, this.#at);
  }

  /** Nothing follows. */
  end(): void {
    expect(this.#at === this.#bytes.length);
  }

  #take(length: number | bigint): Bytes {
    expect(length <= this.#bytes.length - this.#at);
    const from = this.#at;
    this.#at += Number(length);
    return this.#bytes.subarray(from, this.#at);
  }

  /** Major type and argument. */
  #head(): [number, bigint] {
    const first = this.#take(1)[0]!;
    const info = first & 0x1f;
    expect(info < 28);
    const length = info < 24 ? 0 : 2 ** (info - 24);
    const argument = this.#take(length).reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);
    const n = length === 0 ? BigInt(info) : argument;
    expect(n >= LEAST.get(length)!);
    return [first >> 5, n];
  }

  #of(major: number): bigint {
    const [found, n] = this.#head();
    expect(found === major);
    return n;
  }

  /** An unsigned integer of at most `max`, which a number holds. */
  uint(max: number): number {
    const n = this.#of(UINT);
    expect(n <= max);
    return Number(n);
  }

  /** Of any size; what a number does not hold is rounded. */
  anyUint(): number {
    return Number(this.#of(UINT));
  }

  /** A time in seconds since 1970. */
  seconds(): number {
    const n = this.#of(UINT);
    expect(n <= MAX_INT64);
    return Math.min(Number(n), LATEST);
  }

  int(): bigint {
    const [major, n] = this.#head();
    expect((major === UINT || major === NEGATIVE) && n <= MAX_INT64);
    return major === UINT ? n : -1n - n;
  }

  /** A byte string, of this length if one is given. */
  bytes(length?: number): Bytes {
    const bytes = this.#take(this.#of(BYTES));
    expect(length === undefined || bytes.length === length);
    return bytes;
  }

  /** A text of at most so many bytes of UTF-8. */
  text(maxBytes = Infinity): string {
    const bytes = this.#take(this.#of(TEXT));
    expect(bytes.length <= maxBytes);
    return decode(bytes);
  }

  /** The number of items that follow. */
  array(): number {
    return Number(this.#of(ARRAY));
  }

  /** The items of an array, each read by `read`. */
  list<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.array(); left > 0; left--) items.push(read());
    return items;
  }

  /** The number of entries that follow. */
  map(): number {
    return Number(this.#of(MAP));
  }

  bool(): boolean {
    const n = this.#of(SIMPLE);
    expect(n === FALSE || n === TRUE);
    return n === TRUE;
  }

  /** What `read` reads, or null. */
  nullable<T>(read: () => T): T | null {
    return this.#isNext(() => this.#of(SIMPLE) === NULL) ? null : read();
  }

  /** The key `n` of a map. */
  key(n: number): void {
    expect(this.int() === BigInt(n));
  }

  /** Whether the integer comes next; otherwise nothing is read. */
  isNext(n: number): boolean {
    return this.#isNext(() => this.int() === BigInt(n));
  }

  #isNext(read: () => boolean): boolean {
    const from = this.#at;
    try {
      if (read()) return true;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
    }
    this.#at = from;
    return false;
  }

  /** Passes over one item of any kind. */
  skip(depth = MAX_DEPTH): void {
    expect(depth > 0);
    const [major, n] = this.#head();
    switch (major) {
      case UINT:
      case NEGATIVE:
        return;
      case BYTES:
        return void this.#take(n);
      case TEXT:
        return void decode(this.#take(n));
      case ARRAY:
        for (let left = n; left > 0n; left--) this.skip(depth - 1);
        return;
      case MAP:
        return this.#skipEntries(n, depth - 1);
      default:
        expect(major === SIMPLE && n >= FALSE && n <= NULL);
    }
  }

  /** The keys differ, and are in the order of their encodings. */
  #skipEntries(entries: bigint, depth: number): void {
    let before: Bytes | null = null;
    for (let left = entries; left > 0n; left--) {
      const from = this.#at;
      this.skip(depth);
      const key = this.#bytes.subarray(from, this.#at);
      expect(before === null || isBefore(before, key));
      before = key;
      this.skip(depth);
    }
  }
}

function decode(bytes: Bytes): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MalformedError();
  }
}

/** In the order of bytes. */
function isBefore(a: Bytes, b: Bytes): boolean {
  const differs = a.findIndex((byte, i) => byte !== b[i]);
  return differs < 0 ? a.length < b.length : differs < b.length && a[differs]! < b[differs]!;
}

/** Byte strings one behind the other. */
export function concat(...parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The head of a byte string that follows. */
export function bytesHead(length: number): Bytes {
  if (length < 24) return Uint8Array.of(0x40 | length);
  return length < 256 ? Uint8Array.of(0x58, length) : Uint8Array.of(0x59, length >> 8, length & 255);
}
