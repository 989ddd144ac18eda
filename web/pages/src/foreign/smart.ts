/**
 * SMART Health Cards: `shc:/` and two digits for each character of a JWS (RFC 7515) with a compressed payload, a FHIR
 * Bundle. `docs/operations/foreign-codes.md` has the source, the bounds and the order of the checks.
 */
import { expect, MalformedError, type Bytes } from "../code/cbor.ts";
import { decodeBase64Url, encodeBase64Url } from "../shared/base64url.ts";
import { readEntries, readResources } from "./fhir.ts";
import { inflate } from "./inflate.ts";
import { decodeText } from "./item.ts";
import { list, number, optional, parse, record, text } from "./json.ts";
import { isCardRevoked } from "./revocations.ts";
import { checkTimes, moment, RefusedCode, type Certificate } from "./statement.ts";
import { isSignedBy, type Issuers } from "./trust.ts";

const PREFIX = "shc:/";
const MAX_CHARS = 7_100;
const MAX_BYTES = 16_384;
/** The lowest character of a JWS, `-`, is written as 00. */
const FIRST_CHARACTER = 45;
/** The type that every card has. */
const HEALTH_CARD = "https://smarthealth.cards#health-card";

/** Reads and checks a code at `now`; throws the reason why it proves nothing. */
export async function readSmartCode(code: string, { trust, revoked }: Issuers, now: number): Promise<Certificate> {
  const parts = jws(code).split(".");
  expect(parts.length === 3);
  const [header, payload, signature] = parts as [string, string, string];
  const { alg, zip, kid, crit } = record(parse(decodeText(decode(header))));
  const [algorithm, compression, thumbprint] = [text(alg), text(zip), text(kid)];
  if (algorithm !== "ES256" || compression !== "DEF" || optional(crit, (value) => value) !== null) {
    throw new RefusedCode("foreign_unsupported");
  }
  const signers = trust.smart.get(thumbprint);
  if (!signers) throw new RefusedCode("foreign_issuer_unknown");
  const signed = new TextEncoder().encode(`${header}.${payload}`);
  if (!(await isSignedBy(signers[0]!.key, "ES256", decode(signature), signed))) throw new RefusedCode("forged");

  const claims = record(parse(decodeText(await inflate("deflate-raw", decode(payload), MAX_BYTES))));
  const credential = record(claims["vc"]);
  const types = list(credential["type"]).map(text);
  const entries = readEntries(record(record(credential["credentialSubject"])["fhirBundle"]));
  const [url, notBefore] = [text(claims["iss"]), number(claims["nbf"])];
  const [expiresAt, rid] = [optional(claims["exp"], number), optional(credential["rid"], text)];
  // Several issuers may share a key; a card is of the one that it names.
  const signer = signers.find((one) => one.url === url);
  if (!signer) throw new RefusedCode("foreign_issuer_unknown");
  expect(types.includes(HEALTH_CARD));
  const { name, born, proofs } = readResources(entries);
  const issuedAt = moment(notBefore);
  if (rid !== null && (await isCardRevoked(revoked, thumbprint, rid, issuedAt))) throw new RefusedCode("foreign_revoked");
  checkTimes(issuedAt, expiresAt === null ? null : moment(expiresAt), now);
  return { scheme: "smart_health_card", country: signer.country, issuer: signer.name, name, born, proofs };
}

/** Each text has one form: no padding, no bits that mean nothing. */
function decode(part: string): Bytes {
  try {
    const bytes = decodeBase64Url(part);
    if (encodeBase64Url(bytes) === part) return bytes;
  } catch {
    // Another character.
  }
  throw new MalformedError();
}

function jws(code: string): string {
  expect(code.slice(0, PREFIX.length).toLowerCase() === PREFIX && code.length <= MAX_CHARS);
  const digits = code.slice(PREFIX.length);
  // One QR code of several: `1/3/` before its digits.
  if (/^\d+\/\d+\//.test(digits)) throw new RefusedCode("foreign_in_parts");
  expect(/^(?:\d\d)*$/.test(digits));
  return digits.replace(/\d\d/g, (pair) => String.fromCharCode(FIRST_CHARACTER + Number(pair)));
}
