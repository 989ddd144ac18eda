/** The trust list of a bundle: whose signatures count. `docs/offline-bundle.md` has its form. */
import { expect, Reader, type Bytes } from "../code/cbor.ts";
import { hex } from "../code/p256.ts";
import type { Revocations } from "./revocations.ts";

const FORMAT = 1;
/** What a key may sign, as bits. */
export const USAGES = { test: 1, vaccination: 2, recovery: 4 } as const;
/** A P-384 point, uncompressed. */
const P384_BYTES = 97;

/** A certificate of an EU issuer. */
export interface EuSigner {
  country: string;
  usages: number;
  validFrom: number;
  validUntil: number;
  key: Bytes;
}

/** An issuer of SMART Health Cards with one of its keys. */
export interface SmartSigner {
  url: string;
  country: string;
  name: string;
  key: Bytes;
}

export interface TrustList {
  /** By key id, in hexadecimal. */
  eu: ReadonlyMap<string, EuSigner[]>;
  /** By the thumbprint of the key. */
  smart: ReadonlyMap<string, SmartSigner[]>;
}

/** Whose codes count, and which of them do not. */
export interface Issuers {
  trust: TrustList;
  revoked: Revocations;
}

/** Throws a `MalformedError` if the bytes are no trust list of this form. */
export function readTrustList(bytes: Bytes): TrustList {
  const reader = new Reader(bytes);
  expect(reader.array() === 3);
  reader.uint(FORMAT);
  const eu = new Map<string, EuSigner[]>();
  reader.list(() => {
    expect(reader.array() === 6);
    add(eu, hex(reader.bytes(8)), {
      country: reader.text(),
      usages: reader.anyUint(),
      validFrom: Number(reader.int()) * 1_000,
      validUntil: Number(reader.int()) * 1_000,
      key: reader.bytes(),
    });
  });
  const smart = new Map<string, SmartSigner[]>();
  reader.list(() => {
    expect(reader.array() === 5);
    add(smart, reader.text(), { url: reader.text(), country: reader.text(), name: reader.text(), key: reader.bytes() });
  });
  reader.end();
  return { eu, smart };
}

function add<T>(map: Map<string, T[]>, key: string, item: T): void {
  const others = map.get(key);
  if (others) others.push(item);
  else map.set(key, [item]);
}

export type Algorithm = "ES256" | "PS256";

/**
 * Whether the key has signed the message by that algorithm. A key has one algorithm, whatever a code claims: an
 * uncompressed point on P-256 or P-384 has ES256, an RSA key (`SubjectPublicKeyInfo`) PS256.
 */
export async function isSignedBy(key: Bytes, algorithm: Algorithm, signature: Bytes, message: Bytes): Promise<boolean> {
  const isPoint = key[0] === 4;
  if (isPoint !== (algorithm === "ES256")) return false;
  if (!isPoint) {
    const rsa = await crypto.subtle.importKey("spki", key, { name: "RSA-PSS", hash: "SHA-256" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "RSA-PSS", saltLength: 32 }, rsa, signature, message);
  }
  const namedCurve = key.length === P384_BYTES ? "P-384" : "P-256";
  const point = await crypto.subtle.importKey("raw", key, { name: "ECDSA", namedCurve }, false, ["verify"]);
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, point, signature, message);
}
