/**
 * The index of an offline bundle: who issues codes, by which rules they are judged, and which parts of the denylist
 * there are. `docs/offline-bundle.md` is the specification.
 */
import { concat, expect, MalformedError, Reader, type Bytes } from "../code/cbor.ts";
import type { IssuerKeys } from "../code/code.ts";
import { hex, publicKey, sha256 } from "../code/p256.ts";
import { isSignedBy, readSign1 } from "../code/sign1.ts";

/** What an index is signed beside, so that no token is an index. */
const CONTEXT = new TextEncoder().encode("YM1 bundle");
const FORMAT = 1;
/** The version of this reader, which an index may ask for. */
const READER = 1;

/** A file with its length and its SHA-256. */
export interface Blob {
  bytes: number;
  /** In hexadecimal; its name too. */
  sha256: string;
}

/** The denial tags that became known after `from`, up to `to`; times in seconds since 1970. */
export interface PartName extends Blob {
  from: number;
  to: number;
}

export interface Rules {
  version: number;
  /** How long ago a code may have been shown, in seconds. */
  proofAge: number;
  /** How far a phone's clock may be ahead, in seconds. */
  ahead: number;
  /** How old a token's data may have been at its issue, in seconds. */
  lag: number;
  /** Tokens from before this moment do not count. */
  issuedNotBefore: number;
}

/** Until `until`, tokens still count for `expired` seconds after their end. */
export interface Emergency {
  until: number;
  expired: number;
  why: string;
}

export interface Index {
  region: string;
  releasedAt: number;
  /** Seconds after the release: from when on the bundle is called old, gives no pass, and is not judged by. */
  warn: number;
  grace: number;
  stop: number;
  issuers: IssuerKeys;
  rules: Rules;
  /** By slot: 6 hours, counted from 1970. */
  slots: ReadonlyMap<number, PartName[]>;
  emergency: Emergency | null;
  /** What codes of other systems are judged by; null: by nothing. */
  foreign: ForeignBlobs | null;
}

export interface ForeignBlobs {
  trustList: Blob;
  acceptance: Blob;
  revocations: Blob;
}

export type IndexRefusal = "malformed" | "unknown_issuer" | "forged" | "older";

/** Reads an index that one of these issuers has signed, and that is no older than the one held; else the reason. */
export async function openIndex(bytes: Bytes, issuers: IssuerKeys, held: Index | null): Promise<Index | IndexRefusal> {
  try {
    const sign1 = readSign1(bytes);
    const index = await readPayload(sign1.payload);
    const issuer = issuers.get(hex(sign1.keyId));
    if (!issuer) return "unknown_issuer";
    if (!(await isSignedBy(issuer, sign1, CONTEXT))) return "forged";
    return held !== null && index.releasedAt < held.releasedAt ? "older" : index;
  } catch (error) {
    if (error instanceof MalformedError) return "malformed";
    throw error;
  }
}

/** Reads the index of one's own storage, which was verified before. */
export async function readIndex(bytes: Bytes): Promise<Index> {
  return readPayload(readSign1(bytes).payload);
}

async function readPayload(payload: Bytes): Promise<Index> {
  const reader = new Reader(payload);
  const seconds = (): number => reader.seconds();
  const fields = reader.map();
  expect(fields === 10 || fields === 11);
  reader.key(1);
  const region = reader.text();
  reader.key(6);
  const releasedAt = seconds();
  reader.key(-1);
  expect(reader.uint(FORMAT) === FORMAT);
  reader.key(-2);
  const [warn, grace, stop] = tuple(reader, [seconds, seconds, seconds]);
  expect(warn <= grace && grace <= stop);
  reader.key(-3);
  const keys = reader.list(() => tuple(reader, [() => reader.bytes(8), () => reader.bytes(32), () => reader.bytes(32)]));
  reader.key(-4);
  const [version, proofAge, ahead, lag, issuedNotBefore] = tuple(reader, [
    () => reader.anyUint(),
    seconds,
    seconds,
    seconds,
    seconds,
  ]);
  reader.key(-5);
  const slots = readSlots(reader, releasedAt);
  reader.key(-6);
  reader.uint(READER);
  reader.key(-7);
  const emergency = reader.nullable((): Emergency => {
    const [until, expired, why] = tuple(reader, [seconds, seconds, () => reader.text()]);
    return { until, expired, why };
  });
  reader.key(-8);
  // The guidance document, which this page does not need.
  reader.nullable(() => readBlob(reader));
  let foreign: ForeignBlobs | null = null;
  if (fields === 11) {
    reader.key(-9);
    const blob = (): Blob => readBlob(reader);
    const [trustList, acceptance, revocations] = tuple(reader, [blob, blob, blob]);
    foreign = { trustList, acceptance, revocations };
  }
  reader.end();
  return {
    region,
    releasedAt,
    warn,
    grace,
    stop,
    issuers: await readIssuers(keys),
    rules: { version, proofAge, ahead, lag, issuedNotBefore },
    slots,
    emergency,
    foreign,
  };
}

/** An array of exactly these items. */
function tuple<T extends unknown[]>(reader: Reader, items: { [I in keyof T]: () => T[I] }): T {
  expect(reader.array() === items.length);
  return items.map((read) => (read as () => unknown)()) as T;
}

function readBlob(reader: Reader): Blob {
  const [bytes, digest] = tuple(reader, [() => reader.anyUint(), () => reader.bytes(32)]);
  return { bytes, sha256: hex(digest) };
}

/** The slots follow each other; the parts of each are in the order of their beginnings and ends. */
function readSlots(reader: Reader, releasedAt: number): Map<number, PartName[]> {
  const slots = new Map<number, PartName[]>();
  let before: number | null = null;
  reader.list(() => {
    expect(reader.array() === 2);
    const slot = reader.anyUint();
    expect(before === null || slot === before + 1);
    before = slot;
    const parts = reader.list(() => readPart(reader, releasedAt));
    const isSorted = parts.every((part, i) => {
      const last = parts[i - 1];
      return !last || last.from < part.from || (last.from === part.from && last.to < part.to);
    });
    expect(isSorted);
    slots.set(slot, parts);
  });
  return slots;
}

function readPart(reader: Reader, releasedAt: number): PartName {
  const [from, to, bytes, digest] = tuple(reader, [
    () => reader.seconds(),
    () => reader.seconds(),
    () => reader.anyUint(),
    () => reader.bytes(32),
  ]);
  expect(from < to && to <= releasedAt);
  return { from, to, bytes, sha256: hex(digest) };
}

/** A key's id is the beginning of its point's SHA-256. */
async function readIssuers(keys: [Bytes, Bytes, Bytes][]): Promise<IssuerKeys> {
  const issuers = new Map<string, CryptoKey>();
  for (const [keyId, x, y] of keys) {
    const id = hex(keyId);
    const key = await publicKey(x, y);
    const digest = await sha256(concat(Uint8Array.of(4), x, y));
    expect(key !== null && !issuers.has(id) && hex(digest.subarray(0, 8)) === id);
    issuers.set(id, key);
  }
  return issuers;
}
