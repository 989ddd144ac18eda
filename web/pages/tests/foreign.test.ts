/** Codes of other systems are judged as the service judges them. */
import "./globals.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MalformedError, type Bytes } from "../src/code/cbor.ts";
import { judgeForeign, openLists, readForeign, type ForeignLists, type ForeignParts } from "../src/foreign/foreign.ts";
import { readItem } from "../src/foreign/item.ts";
import type { Scan } from "../src/shared/types.ts";

interface VectorSet {
  now: string;
  trust_list: string;
  acceptance: string;
  revocations: string;
  codes: { name: string; code: string; answers: ({ require_test_within_h: number | null } & Partial<Scan>)[] }[];
}

const file = readFileSync("../../tests/vectors/foreign-offline.json", "utf8");
const { sets } = JSON.parse(file) as { sets: VectorSet[] };
const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const fromHex = (text: string): Bytes => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
const partsOf = ({ trust_list, acceptance, revocations }: VectorSet): ForeignParts => ({
  trustList: fromBase64(trust_list),
  acceptance: fromBase64(acceptance),
  revocations: fromBase64(revocations),
});
const [vectors] = sets as [VectorSet];
const now = Date.parse(vectors.now);
const parts = partsOf(vectors);
const lists = openLists(parts) as ForeignLists;

test("every code of the vectors gets the answer that the service gives", async () => {
  assert.deepEqual(sets.map(({ codes }) => codes.length > 15), [true, true]);
  for (const set of sets) {
    const [held, at] = [openLists(partsOf(set)) as ForeignLists, Date.parse(set.now)];
    for (const { name, code, answers } of set.codes) {
      for (const { require_test_within_h, ...expected } of answers) {
        const { verdict, reason, identity, foreign = null } = await judgeForeign(code, held, require_test_within_h, at);
        assert.deepEqual({ verdict, reason, identity, foreign }, expected, `${name}, ${require_test_within_h}`);
      }
    }
  }
});

test("no digit of a code can be changed", async () => {
  const accepted = vectors.codes.filter(({ name }) => /^(EU: vaccination(, RSA|, P-384)?|SMART: two doses)$/.test(name));
  assert.equal(accepted.length, 4);
  for (const { name, code } of accepted) {
    for (let at = 5; at < code.length; at += 7) {
      const changed = `${code.slice(0, at)}${code[at] === "0" ? "1" : "0"}${code.slice(at + 1)}`;
      const read = await readForeign(changed, lists, now);
      // Compression has bits that mean nothing.
      if (typeof read !== "string") assert.deepEqual(read, await readForeign(code, lists, now), `${name}, ${at}`);
    }
  }
});

test("a code begins as one", async () => {
  const card = vectors.codes.find(({ name }) => name === "SMART: two doses")!.code;
  assert.equal(typeof (await readForeign(` ${card.replace("shc", "sHC")} `, lists, now)), "object");
  for (const text of [`0${card.slice(1)}`, card.slice(1), "", "HC2:"]) {
    assert.equal(await readForeign(text, lists, now), "malformed");
  }
});

test("lists of a later form are none", () => {
  assert.equal(openLists({ ...parts, trustList: Uint8Array.of(0x83, 2, 0x80, 0x80) }), null);
  assert.equal(openLists({ ...parts, acceptance: fromHex("ff") }), null);
  assert.equal(openLists({ ...parts, revocations: Uint8Array.of(0x82, 2, 0x80) }), null);
});

test("CBOR is read in all its forms, and nothing else", () => {
  const read = (bytes: string): unknown => readItem(fromHex(bytes));
  // RFC 8949, appendix A.
  const items: [string, unknown][] = [
    ["1bffffffffffffffff", 18446744073709551615n],
    ["3903e7", -1000n],
    ["f93c00", 1],
    ["f90001", 5.960464477539063e-8],
    ["fa47c35000", 100000],
    ["fbc010666666666666", -4.1],
    ["f6", null],
    ["7f657374726561646d696e67ff", "streaming"],
    ["9f018202039f0405ffff", [1n, [2n, 3n], [4n, 5n]]],
    ["bf61610161629f0203ffff", new Map<string, unknown>([["a", 1n], ["b", [2n, 3n]]])],
    ["c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"],
  ];
  for (const [bytes, item] of items) assert.deepEqual(read(bytes), item, bytes);
  for (const bytes of ["", "18", "0000", "1c", "62c328", "7f4100ff", "a201010102", "9f", "ff", "a1f601", "82".repeat(17)]) {
    let refused = false;
    try {
      read(bytes);
    } catch (error) {
      refused = error instanceof MalformedError;
    }
    assert.ok(refused, bytes);
  }
});
