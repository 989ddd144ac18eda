/** Offline bundles are read as the vectors of docs/offline-bundle.md say, and codes judged by them. */
import "./globals.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MalformedError, type Bytes } from "../src/code/cbor.ts";
import { issuerKeys, type KeySet } from "../src/code/issuers.ts";
import { hex, sha256 } from "../src/code/p256.ts";
import { Bundle } from "../src/offline/bundle.ts";
import { cover } from "../src/offline/cover.ts";
import { openIndex, type Blob, type Index, type PartName } from "../src/offline/index.ts";
import { judgeOffline } from "../src/offline/judge.ts";
import { TagSet } from "../src/offline/tag-set.ts";

interface Vectors {
  indexes: { name: string; index: string; issuers: KeySet; held_released_at?: string; expected: string; says?: Says }[];
  parts: { name: string; part: string; named: { bytes: number; sha256: string }; expected: string; in: string[]; out: string[] }[];
  denials: { slot: number; tag: string; denied: boolean }[];
  covers: { name: string; parts: Range[]; held: Range[]; released_at: number; cover: Range[] | null }[];
}
type Range = [from: number, to: number];
interface Says {
  region: string;
  released_at: string;
  warn_s: number;
  grace_s: number;
  stop_s: number;
  rules: { version: number; proof_age_s: number; ahead_s: number; lag_s: number; issued_not_before: string };
  denylist: { slot: number; parts: { from: number; to: number; part: { bytes: number; sha256: string } }[] }[];
  emergency: { until: string; expired_s: number; why: string } | null;
  kids: string[];
}

const read = (file: string): string => readFileSync(`../../tests/vectors/${file}.json`, "utf8");
const { indexes, parts, denials, covers } = JSON.parse(read("bundle")) as Vectors;
const codes = (JSON.parse(read("code")) as { codes: { name: string; text: string; now: string }[] }).codes;

const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const fromHex = (text: string): Bytes => Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));
const seconds = (rfc3339: string): number => Date.parse(rfc3339) / 1_000;

function isRefused(make: () => unknown): boolean {
  try {
    make();
    return false;
  } catch (error) {
    if (error instanceof MalformedError) return true;
    throw error;
  }
}

const open = async (vector: Vectors["indexes"][0]): Promise<Index | string> => {
  const { index, issuers, held_released_at } = vector;
  const held = held_released_at === undefined ? null : ({ releasedAt: seconds(held_released_at) } as Index);
  return openIndex(fromBase64(index), await issuerKeys(issuers), held);
};

/** The first index's bundle, with parts changed by `change`. */
async function bundleOf(change: (bytes: Bytes, part: Blob) => Bytes = (bytes) => bytes): Promise<Bundle> {
  const index = (await open(indexes[0]!)) as Index;
  const files = new Map<string, Bytes>();
  for (const { part } of parts) files.set(hex(await sha256(fromBase64(part))), fromBase64(part));
  return Bundle.of(index, new Map(), async (part) => change(files.get(part.sha256)!.slice(), part));
}

test("every index of the vectors is read, or refused for its reason", async () => {
  assert.ok(indexes.length > 20);
  for (const vector of indexes) {
    const index = await open(vector);
    assert.equal(typeof index === "string" ? index : "accepted", vector.expected, vector.name);
    if (typeof index === "string") continue;
    const { region, releasedAt, warn, grace, stop, rules, emergency } = index;
    const says = vector.says!;
    assert.deepEqual(
      [region, releasedAt, warn, grace, stop],
      [says.region, seconds(says.released_at), says.warn_s, says.grace_s, says.stop_s],
    );
    const { version, proof_age_s: proofAge, ahead_s: ahead, lag_s: lag, issued_not_before } = says.rules;
    assert.deepEqual(rules, { version, proofAge, ahead, lag, issuedNotBefore: seconds(issued_not_before) });
    const named = says.denylist.map(({ slot, parts }) => [slot, parts.map(({ from, to, part }) => ({ from, to, ...part }))]);
    assert.deepEqual([...index.slots], named);
    const expected = says.emergency;
    const { until = "", expired_s: expired = 0, why = "" } = expected ?? {};
    assert.deepEqual(emergency, expected && { until: seconds(until), expired, why });
    assert.equal(index.issuers.size, says.kids.length);
  }
});

test("every part of the vectors is read, or refused", async () => {
  assert.ok(parts.length > 15);
  for (const { name, part, named, expected, in: inside, out } of parts) {
    const bytes = fromBase64(part);
    const isNamed = bytes.length === named.bytes && hex(await sha256(bytes)) === named.sha256;
    const isAccepted = isNamed && !isRefused(() => new TagSet(bytes));
    assert.equal(isAccepted ? "accepted" : "malformed", expected, name);
    if (!isAccepted) continue;
    const set = new TagSet(bytes);
    for (const tag of inside) assert.ok(set.matches(fromHex(tag)), `${name}: ${tag}`);
    for (const tag of out) assert.ok(!set.matches(fromHex(tag)), `${name}: ${tag}`);
  }
});

test("a reader takes the parts that cover everything, those that it holds first", () => {
  for (const { name, parts, held, released_at, cover: expected } of covers) {
    const named = parts.map(([from, to]): PartName => ({ from, to, bytes: 0, sha256: `${from}-${to}` }));
    const has = new Set(held.map(([from, to]) => `${from}-${to}`));
    const chosen = cover(named, released_at, ({ sha256 }) => has.has(sha256));
    assert.deepEqual(chosen && chosen.map(({ from, to }) => [from, to]), expected, name);
  }
});

test("a bundle denies the tags that its parts name, and is refused whole with a part cut, changed or swapped", async () => {
  const bundle = await bundleOf();
  for (const { slot, tag, denied } of denials) assert.equal(bundle.denies(slot, fromHex(tag)), denied, tag);
  assert.equal(bundle.denies(1, fromHex(denials[0]!.tag)), null);
  const others = [...bundle.parts.values()].map((part) => part.bytes);
  const changes: ((bytes: Bytes, part: Blob) => Bytes)[] = [
    (bytes) => bytes.subarray(0, -1),
    (bytes) => (bytes[bytes.length - 1]! ^= 1, bytes),
    (_, part) => others.find((other) => other.length !== part.bytes)!,
  ];
  for (const change of changes) {
    const refused = await bundleOf(change).then(() => false, (error: unknown) => error instanceof MalformedError);
    assert.ok(refused, String(change));
  }
  // The parts that are held are not loaded again.
  const again = await Bundle.of(bundle.index, bundle.parts, () => Promise.reject(new Error("a request")));
  assert.deepEqual(again.parts, bundle.parts);
});

const vector = (name: string): { text: string; now: number } => {
  const { text, now } = codes.find((code) => code.name === name)!;
  return { text, now: seconds(now) };
};

/** A bundle with the first index's issuers and other members, and nothing denied. */
async function bundleWith(members: Partial<Index>): Promise<Bundle> {
  const { index } = await bundleOf();
  const { now } = vector("shown just now");
  const nothing = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0);
  const part = { from: 0, to: now, bytes: nothing.length, sha256: hex(await sha256(nothing)) };
  const slots = new Map([[Math.floor(now / 21_600), [part]]]);
  return Bundle.of({ ...index, releasedAt: now, slots, ...members }, new Map(), async () => nothing);
}

test("a code is judged by colour, denylist, age of the bundle, data and policy, in this order", async () => {
  const { text, now } = vector("shown just now");
  const judge = async (bundle: Bundle, policy: number | null = null, code = text): Promise<string> => {
    const { verdict, reason } = await judgeOffline(code, bundle, policy, now);
    return `${verdict} ${reason}`;
  };
  const usual = await bundleWith({});
  assert.equal(await judge(usual), "pass green");
  // 31 h at the issue, which is two hours and a little ago.
  assert.equal(await judge(usual, 34), "pass green");
  assert.equal(await judge(usual, 33), "check test_too_old");
  assert.equal(await judge(usual, 48, vector("of somebody without tests and doses").text), "check test_required");
  const rules = usual.index.rules;
  const aged = await bundleWith({ releasedAt: 0, slots: new Map([[Math.floor(now / 21_600), []]]), stop: 9e9 });
  assert.equal(await judge(aged), "check bundle_old");
  const later = await bundleWith({ rules: { ...rules, issuedNotBefore: now } });
  assert.equal(await judge(later, 1), "check changed_since");
  const noSlot = await bundleWith({ slots: new Map() });
  assert.equal(await judge(noSlot), "check changed_since");
  assert.equal(await judge(noSlot, null, vector("without a phone's key").text), "pass green");
  const unknown = await bundleWith({ issuers: new Map() });
  assert.equal(await judge(unknown), "check unknown_issuer");
  for (const [name, expected] of [
    ["a screenshot of 90 seconds ago", "check stale_proof"],
    ["the phone's clock is 5 minutes slow", "check stale_proof"],
    ["the phone's clock is 5 minutes ahead", "check not_yet_valid"],
    ["shown with another phone's key", "stop wrong_phone"],
    ["an altered snapshot", "stop forged"],
    ["after the change of colour", "check yellow"],
  ] as const) {
    const { text, now } = vector(name);
    const { verdict, reason, says } = await judgeOffline(text, usual, null, now);
    assert.equal(`${verdict} ${reason}`, expected);
    assert.equal(says?.colour, expected.endsWith("yellow") ? "yellow" : undefined, "a refused code says nothing");
  }
});

test("an emergency lets expired codes count by their last colour, while it lasts", async () => {
  const { text, now } = vector("after the token's time");
  const judge = async (emergency: Index["emergency"]): Promise<string> =>
    (await judgeOffline(text, await bundleWith({ emergency }), null, now)).reason;
  assert.equal(await judge(null), "expired");
  assert.equal(await judge({ until: now + 1, expired: 3_600, why: "" }), "green");
  assert.equal(await judge({ until: now, expired: 3_600, why: "" }), "expired");
  assert.equal(await judge({ until: now + 1, expired: 0, why: "" }), "expired");
});

test("a bundle warns, then gives no pass, then is not judged by; a clock before its release is wrong", async () => {
  const { index } = await bundleWith({ warn: 10, grace: 20, stop: 30 });
  const bundle = await bundleWith(index);
  const ages = [-61, -60, 0, 10, 11, 20, 21, 30, 31].map((age) => bundle.state(index.releasedAt + age));
  const expected = ["clock", "current", "current", "current", "aging", "aging", "old", "old", "over"];
  assert.deepEqual(ages, expected);
  const until = index.releasedAt + 100;
  const longer = await bundleWith({ ...index, emergency: { until, expired: 0, why: "" } });
  assert.deepEqual([until - 1, until].map((now) => longer.state(now)), ["old", "over"]);
});
