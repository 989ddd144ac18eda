/** A token: COSE_Sign1 around a CWT (RFC 8392). */
import { expect, Reader, type Bytes } from "./cbor.ts";
import { readPaper, type Paper } from "./paper.ts";
import { readSign1, type Sign1 } from "./sign1.ts";
import { readSnapshot, type Snapshot } from "./snapshot.ts";

/** CWT claims (RFC 8392 section 4, RFC 8747 section 3.1); below -65536 is private use. */
const ISS = 1;
const EXP = 4;
const NBF = 5;
const IAT = 6;
const CNF = 8;
const HANDLE = -65_537;
const SNAPSHOT = -65_539;
const DENIAL_TAG = -65_540;
const PAPER = -65_541;
const GUARDIAN = -65_542;
/** Claims that every token has. */
const LEAST_CLAIMS = 5;

/** A point by its x and the lowest bit of y; it may be on no curve. */
export interface PhonePoint {
  x: Bytes;
  yIsOdd: boolean;
}

/** Times in seconds since 1970. */
export interface Claims {
  issuer: string;
  issuedAt: number;
  /** The first moment at which it can be shown. */
  validFrom: number;
  /** The first moment at which it can be shown no more. */
  expiresAt: number;
  /** null in a printed code. */
  snapshot: Snapshot | null;
  /** The holder of a printed code. */
  paper: Paper | null;
  /** The phone's key, and the name of its tokens on denylists; null in a token without a phone's key. */
  phone: { point: PhonePoint; denialTag: Bytes } | null;
  /** A guardian shows it, for whom it is of. */
  guardian: boolean;
}

/** As it was read, nothing of it verified. */
export interface Token {
  sign1: Sign1;
  claims: Claims;
}

export function readToken(bytes: Bytes): Token {
  const sign1 = readSign1(bytes);
  return { sign1, claims: readClaims(new Reader(sign1.payload)) };
}

function readClaims(reader: Reader): Claims {
  const count = reader.map();
  reader.key(ISS);
  const issuer = reader.text();
  reader.key(EXP);
  const expiresAt = reader.seconds();
  const waits = reader.isNext(NBF);
  const notBefore = waits ? reader.seconds() : null;
  reader.key(IAT);
  const issuedAt = reader.seconds();
  const validFrom = notBefore ?? issuedAt;
  expect(issuedAt <= validFrom && validFrom < expiresAt);
  const point = reader.isNext(CNF) ? readPoint(reader) : null;
  reader.key(HANDLE);
  reader.bytes();
  const paper = !point && reader.isNext(PAPER) ? readPaper(reader) : null;
  let snapshot: Snapshot | null = null;
  if (!paper) {
    reader.key(SNAPSHOT);
    snapshot = readSnapshot(reader);
  }
  let phone: Claims["phone"] = null;
  if (point) {
    reader.key(DENIAL_TAG);
    phone = { point, denialTag: reader.bytes(8) };
  }
  const guardian = reader.isNext(GUARDIAN);
  if (guardian) expect(reader.bool());
  const further = count - LEAST_CLAIMS - (waits ? 1 : 0) - (phone ? 2 : 0) - (guardian ? 1 : 0);
  expect(further >= 0);
  skipFurtherClaims(reader, further);
  reader.end();
  return { issuer, issuedAt, validFrom, expiresAt, snapshot, paper, phone, guardian };
}

/** A map with a COSE_Key (RFC 9053 section 7.1.1): kty EC2, crv P-256, x, and y as its sign bit. */
function readPoint(reader: Reader): PhonePoint {
  expect(reader.map() === 1);
  reader.key(1);
  expect(reader.map() === 4);
  for (const n of [1, 2, -1, 1, -2]) reader.key(n);
  const x = reader.bytes(32);
  reader.key(-3);
  return { x, yIsOdd: reader.bool() };
}

/** Claims of later versions: their numbers descend, as the order of encodings asks for. */
function skipFurtherClaims(reader: Reader, count: number): void {
  let before = BigInt(GUARDIAN);
  for (let left = count; left > 0; left--) {
    const claim = reader.int();
    expect(claim < before);
    before = claim;
    reader.skip();
  }
}
