/** Codes are judged as the vectors of docs/code-format.md say for a scanner without a network. */
import "./globals.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeBase45, encodeBase45 } from "../src/code/base45.ts";
import { verifyCode } from "../src/code/code.ts";
import { issuerKeys, type KeySet } from "../src/code/issuers.ts";
import { hex } from "../src/code/p256.ts";
import { readTyped } from "../src/checkpoint/typed-code.ts";
import { colourAt, testAt } from "../src/code/snapshot.ts";

interface Vectors {
  issuers: KeySet;
  codes: { name: string; text: string; now: string; offline: string; says?: unknown }[];
}

const { issuers, codes } = JSON.parse(readFileSync("../../tests/vectors/code.json", "utf8")) as Vectors;
const keys = await issuerKeys(issuers);

/** The verdict on the code itself, and what it says. */
async function judge(text: string, now: number): Promise<[string, unknown]> {
  const claims = await verifyCode(text, keys, now);
  if (typeof claims === "string") return [claims, undefined];
  const { issuer, issuedAt, validFrom, snapshot, paper, phone } = claims;
  const guardian = claims.guardian && { guardian: true };
  if (!snapshot) {
    const { name, document } = paper!;
    const nothing = { colour: null, test: null, doses: 0, complete: false, denial_tag: null };
    return ["accepted", { issuer, name, ...nothing, ...(document && { document }), ...guardian }];
  }
  const { doses, complete, name } = snapshot;
  const colour = colourAt(snapshot, validFrom, now);
  const denial_tag = phone && hex(phone.denialTag);
  const test = testAt(snapshot, issuedAt, now);
  return ["accepted", { issuer, colour, test, doses, complete, name, denial_tag, ...guardian }];
}

test("every vector is judged as a scanner without a network has to", async () => {
  assert.ok(codes.length > 50);
  for (const { name, text, now, offline, says } of codes) {
    assert.deepEqual(await judge(text, Date.parse(now) / 1_000), [offline, says], name);
  }
});

test("no code is accepted with one bit of its bytes flipped, but in the MAC", async () => {
  for (const { text, now } of codes.filter(({ name }) => /^(shown just now|without a phone's key)$/.test(name))) {
    const bytes = decodeBase45(text.slice(4))!;
    for (let bit = 0; bit < 8 * (bytes.length - 8); bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const [reason] = await judge(`YM1:${encodeBase45(bytes)}`, Date.parse(now) / 1_000);
      assert.ok(reason !== "accepted", `bit ${bit}`);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
});

test("a genuine code says how long it is to who reads it from a hand scanner", () => {
  for (const { text, name } of codes.filter(({ offline }) => offline === "accepted")) {
    assert.deepEqual(readTyped(`${text}${text}`), { kind: "code", code: text.trim() }, name);
  }
});
