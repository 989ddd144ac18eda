/**
 * EU Digital COVID Certificates: `HC1:`, Base45, zlib, and a COSE_Sign1 (RFC 9052) around a CWT (RFC 8392) with the
 * claim `hcert`. `docs/operations/foreign-codes.md` has the sources, the bounds and the order of the checks.
 */
import { decodeBase45 } from "../code/base45.ts";
import { bytesHead, concat, expect, type Bytes } from "../code/cbor.ts";
import { hex } from "../code/p256.ts";
import { readContent } from "./eu-content.ts";
import { inflate } from "./inflate.ts";
import { get, readItem, Tagged, type Entries, type Item } from "./item.ts";
import { isEuRevoked } from "./revocations.ts";
import { checkTimes, moment, RefusedCode, type Certificate } from "./statement.ts";
import { isSignedBy, USAGES, type Algorithm, type EuSigner, type Issuers } from "./trust.ts";

export const PREFIX = "HC1:";
const MAX_CHARS = 4_296;
const MAX_BYTES = 8_192;
/** Tags that may stand before the array: a CWT, and a COSE_Sign1. */
const TAGS = [61n, 18n];
const ALGORITHMS = new Map<Item, Algorithm>([
  [-7n, "ES256"],
  [-37n, "PS256"],
]);
const ALG = 1n;
const CRIT = 2n;
const KID = 4n;
const ISSUER = 1n;
const EXPIRES_AT = 4n;
const NOT_BEFORE = 5n;
const ISSUED_AT = 6n;
const HCERT = -260n;
const EU_DCC_V1 = 1n;
/** Head of an array of four, the text "Signature1". */
const CONTEXT = Uint8Array.of(0x84, 0x6a, ...new TextEncoder().encode("Signature1"));

/** Reads and checks a code at `now`; throws the reason why it proves nothing. */
export async function readEuCode(text: string, { trust, revoked }: Issuers, now: number): Promise<Certificate> {
  const { protectedBytes, header, unprotected, payload, signature } = await envelope(text);
  if (header.has(CRIT)) throw new RefusedCode("foreign_unsupported");
  const algorithm = ALGORITHMS.get(header.get(ALG) ?? unprotected.get(ALG) ?? null);
  if (!algorithm) throw new RefusedCode("foreign_unsupported");
  const kid = (header.get(KID) ?? unprotected.get(KID)) as Bytes | undefined;
  const signers = kid && trust.eu.get(hex(kid));
  if (!signers) throw new RefusedCode("foreign_issuer_unknown");
  const parts = [protectedBytes, new Uint8Array(), payload ?? new Uint8Array()];
  const signed = concat(CONTEXT, ...parts.flatMap((part) => [bytesHead(part.length), part]));
  const signer = await signerOf(signers, algorithm, signature, signed);
  if (!signer) throw new RefusedCode("forged");

  expect(payload !== null);
  const claims = readItem(payload);
  const hcert = get(claims, HCERT);
  expect(hcert !== undefined);
  const content = get(hcert, EU_DCC_V1);
  if (content === undefined) throw new RefusedCode("foreign_unsupported");
  const { name, born, proof, uci, country } = readContent(content);
  if (!(signer.usages & USAGES[proof.kind])) throw new RefusedCode("foreign_key_usage");
  const hashed = algorithm === "ES256" ? signature.subarray(0, signature.length >> 1) : signature;
  const issuer = get(claims, ISSUER);
  const countries = [typeof issuer === "string" ? issuer : "", country];
  if (await isEuRevoked(revoked, { kid, signature: hashed, uci, countries })) throw new RefusedCode("foreign_revoked");
  const time = (claim: bigint): number | null => numericDate(get(claims, claim));
  const [issuedAt, expiresAt] = [time(ISSUED_AT), time(EXPIRES_AT)];
  expect(issuedAt !== null && expiresAt !== null);
  checkTimes(Math.max(issuedAt, time(NOT_BEFORE) ?? -Infinity), expiresAt, now);
  checkTimes(signer.validFrom, signer.validUntil, now);
  return { scheme: "eu_dcc", country: signer.country, issuer: null, name, born, proofs: [proof] };
}

/** A key id is 8 bytes of a hash, so two certificates may share one. */
async function signerOf(
  signers: EuSigner[],
  algorithm: Algorithm,
  signature: Bytes,
  signed: Bytes,
): Promise<EuSigner | null> {
  for (const signer of signers) if (await isSignedBy(signer.key, algorithm, signature, signed)) return signer;
  return null;
}

interface Envelope {
  protectedBytes: Bytes;
  header: Entries;
  unprotected: Entries;
  payload: Bytes | null;
  signature: Bytes;
}

async function envelope(text: string): Promise<Envelope> {
  expect(text.startsWith(PREFIX) && text.length <= MAX_CHARS);
  const compressed = decodeBase45(text.slice(PREFIX.length));
  expect(compressed !== null);
  let item = readItem(await inflate("deflate", compressed, MAX_BYTES));
  for (const tag of TAGS) if (item instanceof Tagged && item.tag === tag) item = item.item;
  expect(item instanceof Array && item.length === 4);
  const [protectedBytes, unprotected, payload, signature] = item;
  expect(protectedBytes instanceof Uint8Array && unprotected instanceof Map && signature instanceof Uint8Array);
  expect(payload === null || payload instanceof Uint8Array);
  const header = protectedBytes.length === 0 ? new Map() : readItem(protectedBytes);
  expect(header instanceof Map);
  for (const map of [header, unprotected]) {
    const kid = map.get(KID);
    expect(kid === undefined || (kid instanceof Uint8Array && kid.length > 0));
    const crit = map.get(CRIT);
    expect(crit === undefined || (crit instanceof Array && crit.length > 0));
  }
  return { protectedBytes, header, unprotected, payload, signature };
}

/** A CWT's `NumericDate` (RFC 8392 section 2); null without one. */
function numericDate(item: Item | undefined): number | null {
  return typeof item === "bigint" || typeof item === "number" ? moment(Number(item)) : null;
}
