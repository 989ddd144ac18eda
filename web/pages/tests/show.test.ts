/** What a phone makes by itself: its codes, and the status that its token knows. */
import "./globals.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isLaxer, ownStatus } from "../src/citizen/own-status.ts";
import { proposeName } from "../src/citizen/phone-name.ts";
import { decodeBase45 } from "../src/code/base45.ts";
import { Reader, type Bytes } from "../src/code/cbor.ts";
import { importSecret, newTokenKey, showCode } from "../src/code/show.ts";
import { readToken } from "../src/code/token.ts";
import { decodeBase64Url, encodeBase64Url } from "../src/shared/base64url.ts";

const vectors = JSON.parse(readFileSync("../../tests/vectors/code.json", "utf8")) as { codes: { text: string }[] };

/** The items of a phone's code. */
function items(text: string): { token: Bytes; shownAt: number; proof: Bytes; mac: Bytes; signed: Bytes; proved: Bytes } {
  const reader = new Reader(decodeBase45(text.slice(4))!);
  assert.equal(reader.array(), 4);
  const [token, shownAt, signed] = [reader.bytes(), reader.seconds(), reader.before()];
  const [proof, proved] = [reader.bytes(64), reader.before()];
  const mac = reader.bytes(8);
  reader.end();
  return { token, shownAt, proof, mac, signed, proved };
}

test("a code is shown as the format says, by keys that cannot be read out", async () => {
  const first = items(vectors.codes[0]!.text);
  const { key, point } = await newTokenKey();
  const secret = await importSecret(new Uint8Array(32).fill(9));
  assert.deepEqual([key.extractable, secret.extractable], [false, false]);
  assert.ok(point.length === 33 && (point[0] === 2 || point[0] === 3));
  const text = await showCode({ token: first.token, key, secret }, first.shownAt);
  assert.equal(text.length, vectors.codes[0]!.text.length);
  const shown = items(text);
  assert.deepEqual([shown.token, shown.shownAt, shown.signed], [first.token, first.shownAt, first.signed]);
  const bytes = new Uint8Array([...new TextEncoder().encode("YM1 mac"), ...shown.proved]);
  const whole = new Uint8Array(await crypto.subtle.sign("HMAC", secret, bytes));
  assert.deepEqual(shown.mac, whole.slice(0, 8));
});

test("a token's colour follows its timeline, and its test grows old", () => {
  const { claims } = readToken(items(vectors.codes[0]!.text).token);
  const start = claims.validFrom * 1_000;
  const at = (minutes: number) => ownStatus(claims, null, start + minutes * 60_000);
  const colours = [0, 119, 120, 299, 300, 359].map((minutes) => at(minutes).colour);
  assert.deepEqual(colours, ["green", "green", "yellow", "yellow", "green", "green"]);
  assert.deepEqual([at(0).test, at(90).test], [{ result: "negative", hours: 33 }, { result: "negative", hours: 35 }]);
  assert.equal(at(0).asOf, claims.issuedAt * 1_000);
  assert.deepEqual(at(0).identity, { name: "\u5f20*", document: null });
});

test("a colour that permits more is laxer, and none permits nothing", () => {
  assert.ok(isLaxer("green", "yellow") && isLaxer("yellow", "red") && isLaxer("red", "none"));
  assert.ok(!isLaxer("green", "green") && !isLaxer("none", "green"));
});

test("bytes go into URLs and headers without padding", () => {
  for (const bytes of [[], [255], [251, 255], [1, 2, 3, 4]]) {
    const text = encodeBase64Url(Uint8Array.from(bytes));
    assert.ok(/^[-\w]*$/.test(text));
    assert.deepEqual(decodeBase64Url(text), Uint8Array.from(bytes));
  }
});

test("a name is proposed for each phone", () => {
  const apple = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1";
  const android = "Mozilla/5.0 (Linux; Android 14; Pixel) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36";
  assert.equal(proposeName(apple), "iPhone · Safari");
  assert.equal(proposeName(`${android} MicroMessenger/8.0`), "Android · MicroMessenger");
  assert.equal(proposeName(android), "Android · Chrome");
  assert.equal(proposeName(""), "");
});
