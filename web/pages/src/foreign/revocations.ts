/** The revoked certificates and cards of a bundle. `docs/offline-bundle.md` has their form. */
import { concat, expect, Reader, type Bytes } from "../code/cbor.ts";
import { sha256 } from "../code/p256.ts";

const FORMAT = 1;
/** Kinds of identifiers. */
const UCI = 1;
const SIGNATURE = 2;
const COUNTRY_CODE_UCI = 3;
const RID = 4;
const NAME_BYTES = 8;
/** Bytes of a hash by which the EU revokes. */
const HASH_BYTES = 16;

/** Names, ascending; with the moment before which their cards were issued, null: whenever. */
interface Group {
  before: number | null;
  names: DataView;
}

export type Revocations = readonly Group[];

/** What an EU certificate can be revoked by. */
export interface EuIdentifiers {
  kid: Bytes;
  /** The part of the signature that is hashed. */
  signature: Bytes;
  uci: string;
  /** The countries that the certificate names as its issuer's. */
  countries: string[];
}

/** Throws a `MalformedError` if the bytes are no list of this form. */
export function readRevocations(bytes: Bytes): Revocations {
  const reader = new Reader(bytes);
  expect(reader.array() === 2);
  reader.uint(FORMAT);
  const groups = reader.list((): Group => {
    expect(reader.array() === 2);
    const before = reader.nullable(() => Number(reader.int()) * 1_000);
    const names = reader.bytes();
    expect(names.length % NAME_BYTES === 0);
    return { before, names: new DataView(names.buffer, names.byteOffset, names.length) };
  });
  reader.end();
  return groups;
}

export async function isEuRevoked(revoked: Revocations, identified: EuIdentifiers): Promise<boolean> {
  if (revoked.length === 0) return false;
  const { kid, signature, uci, countries } = identified;
  const identifiers: [number, Bytes][] = [
    [UCI, bytesOf(uci)],
    [SIGNATURE, signature],
    ...countries.map((country): [number, Bytes] => [COUNTRY_CODE_UCI, bytesOf(country + uci)]),
  ];
  for (const [kind, identifier] of identifiers) {
    const hash = (await sha256(identifier)).subarray(0, HASH_BYTES);
    // A list names the key, or no key.
    for (const of of [kid, new Uint8Array()]) if (has(revoked, await nameOf(kind, of, hash), null)) return true;
  }
  return false;
}

/** `issuedAt`: in milliseconds since 1970. */
export async function isCardRevoked(revoked: Revocations, kid: string, rid: string, issuedAt: number): Promise<boolean> {
  return revoked.length > 0 && has(revoked, await nameOf(RID, bytesOf(kid), bytesOf(rid)), issuedAt);
}

const bytesOf = (text: string): Bytes => new TextEncoder().encode(text);

async function nameOf(kind: number, kid: Bytes, identifier: Bytes): Promise<bigint> {
  const digest = await sha256(concat(Uint8Array.of(kind, Math.min(kid.length, 255)), kid, identifier));
  return new DataView(digest.buffer).getBigUint64(0);
}

function has(revoked: Revocations, name: bigint, issuedAt: number | null): boolean {
  return revoked.some(({ before, names }) => {
    if (before !== null && issuedAt !== null && issuedAt >= before) return false;
    let [from, to] = [0, names.byteLength / NAME_BYTES];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (names.getBigUint64(middle * NAME_BYTES) < name) from = middle + 1;
      else to = middle;
    }
    return from * NAME_BYTES < names.byteLength && names.getBigUint64(from * NAME_BYTES) === name;
  });
}
