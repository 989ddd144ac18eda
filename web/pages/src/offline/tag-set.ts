/**
 * A part of the denylist: a Golomb-coded set of denial tags. A tag that is not in it is found once in m times, so what is
 * found means "ask online".
 */
import { expect, type Bytes } from "../code/cbor.ts";

const HEAD_BYTES = 9;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_K = 32;

export class TagSet {
  /** Number of tags times m. */
  readonly #range: bigint;
  /** Ascending, below `range`. */
  readonly #values: Float64Array;

  /** Throws a `MalformedError` if the bytes are no part, or not in its one form. */
  constructor(bytes: Bytes) {
    expect(bytes.length >= HEAD_BYTES && bytes.length <= MAX_BYTES);
    const head = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
    const [n, m, k] = [head.getUint32(0), head.getUint32(4), head.getUint8(8)];
    const body = bytes.subarray(HEAD_BYTES);
    const bits = body.length * 8;
    // Each value takes a bit at least, which bounds the memory.
    expect(m > 0 && k <= MAX_K && n * m < 2 ** 53 && n <= bits);
    this.#range = BigInt(n * m);
    this.#values = new Float64Array(n);
    let [at, last] = [0, 0];
    // Past the end there are zeros.
    const bit = (): number => (body[at >> 3]! >> (7 - (at++ & 7))) & 1;
    for (let i = 0; i < n; i++) {
      let quotient = 0;
      while (bit() === 1) quotient += 1;
      let rest = 0;
      for (let left = k; left > 0; left--) rest = rest * 2 + bit();
      last += quotient * 2 ** k + rest;
      expect(at <= bits && last < n * m);
      this.#values[i] = last;
    }
    // Less than a byte is left, all zeros.
    const left = bits - at;
    expect(left < 8 && (body.at(-1) ?? 0) % 2 ** left === 0);
  }

  /** Whether the set has the tag (8 bytes), or one that it cannot tell apart. */
  matches(tag: Bytes): boolean {
    const number = new DataView(tag.buffer, tag.byteOffset, 8).getBigUint64(0);
    const value = Number((number * this.#range) >> 64n);
    let [from, to] = [0, this.#values.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#values[middle]! < value) from = middle + 1;
      else to = middle;
    }
    return this.#values[from] === value;
  }
}
