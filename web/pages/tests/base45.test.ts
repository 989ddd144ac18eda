/** Base45 against the examples of RFC 9285, and strict reading. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBase45, encodeBase45 } from "../src/code/base45.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the examples of RFC 9285 are read and written", () => {
  for (const [plain, text] of [
    ["AB", "BB8"],
    ["Hello!!", "%69 VD92EX0"],
    ["base-45", "UJCLQE7W581"],
    ["ietf!", "QED8WEX0"],
    ["", ""],
  ] as const) {
    assert.equal(encodeBase45(ascii(plain)), text);
    assert.deepEqual(decodeBase45(text), ascii(plain));
  }
});

test("bytes of every length come back", () => {
  for (let length = 0; length < 40; length++) {
    for (const first of [0, 1, 44, 45, 255]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (first + i * 97) & 0xff);
      assert.deepEqual(decodeBase45(encodeBase45(bytes)), bytes);
    }
  }
  assert.equal(encodeBase45(Uint8Array.of(255, 255, 255)), "FGWU5");
});

test("a text that no bytes have is refused", () => {
  for (const text of ["A", "AAAA", "GGW", "V5A:", "V6", "::", ":::", "aa", "A\u00e9", "AA\n", "BB8 ", "\u{1f600}", "__proto__"]) {
    assert.equal(decodeBase45(text), null, text);
  }
});
