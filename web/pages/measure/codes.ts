/**
 * Measures how many codes a second the pages make and judge without a network, one after the other: `tests/bench codes`.
 */
import { readFileSync } from "node:fs";
import { verifyCode } from "../src/code/code.ts";
import { issuerKeys, type KeySet } from "../src/code/issuers.ts";
import { importSecret, newTokenKey, showCode } from "../src/code/show.ts";
import { Bundle } from "../src/offline/bundle.ts";
import { openIndex } from "../src/offline/index.ts";
import { judgeOffline } from "../src/offline/judge.ts";

const CALLS = 2_000;
const ROUNDS = 5;

const read = (file: string): unknown => JSON.parse(readFileSync(`../../tests/vectors/${file}.json`, "utf8"));
const fromBase64 = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const seconds = (rfc3339: string): number => Date.parse(rfc3339) / 1_000;

const vectors = read("code") as { issuers: KeySet; codes: { name: string; text: string; now: string }[] };
const { text, now } = vectors.codes.find(({ name }) => name === "shown just now")!;
const issuers = await issuerKeys(vectors.issuers);

/** The bundle of the vectors, as of the code's moment and with nothing denied. */
async function bundle(): Promise<Bundle> {
  const { indexes } = read("bundle") as { indexes: { index: string; issuers: KeySet }[] };
  const index = await openIndex(fromBase64(indexes[0]!.index), await issuerKeys(indexes[0]!.issuers), null);
  if (typeof index === "string") throw new Error(index);
  return Bundle.of({ ...index, releasedAt: seconds(now), slots: new Map() }, new Map(), () => Promise.reject(new Error()));
}

const held = await bundle();
const token = { token: new Uint8Array(250), key: (await newTokenKey()).key, secret: await importSecret(new Uint8Array(32)) };
const work: [string, () => Promise<unknown>][] = [
  ["code shown, with a signature", () => showCode(token, seconds(now))],
  ["code verified, with two signatures", () => verifyCode(text, issuers, seconds(now))],
  ["code judged by a bundle", () => judgeOffline(text, held, 48, seconds(now))],
];
if (typeof (await verifyCode(text, issuers, seconds(now))) === "string") throw new Error("the code is refused");
const rates = work.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [at, [, call]] of work.entries()) {
    const startedAt = performance.now();
    for (let n = 0; n < CALLS; n++) await call();
    rates[at]!.push((CALLS * 1_000) / (performance.now() - startedAt));
  }
}
for (const [at, [name]] of work.entries()) {
  const rate = rates[at]!.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
  console.log(`the pages' TypeScript in Node: ${name}: ${rate.toFixed(0)} /s`);
}
