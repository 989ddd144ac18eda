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
    const bits = new Bits(bytes.subarray(HEAD_BYTES));
    // Each value takes a bit at least, which bounds the memory.
    expect(m > 0 && k <= MAX_K && n * m < 2 ** 53 && n <= bits.left());
    this.#range = BigInt(n * m);
    this.#values = new Float64Array(n);
    let last = 0;
    for (let i = 0; i < n; i++) {
      let quotient = 0;
      while (bits.next() === 1) quotient += 1;
      let rest = 0;
      for (let bit = 0; bit < k; bit++) rest = rest * 2 + bits.next();
      last += quotient * 2 ** k + rest;
      expect(last < n * m);
      this.#values[i] = last;
    }
    expect(bits.left() < 8);
    while (bits.left() > 0) expect(bits.next() === 0);
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

/** The bits of bytes, the most significant one first. */
class Bits {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  left(): number {
    return this.#bytes.length * 8 - this.#at;
  }

  next(): number {
    expect(this.#at < this.#bytes.length * 8);
    const bit = (this.#bytes[this.#at >> 3]! >> (7 - (this.#at & 7))) & 1;
    this.#at += 1;
    return bit;
  }
}
