/**
 * Reads codes as a scanner without a network does. `docs/code-format.md` is the specification, and the order of its
 * refusals is that of this file.
 */
import { decodeBase45 } from "./base45.ts";
import { concat, expect, MalformedError, Reader, type Bytes } from "./cbor.ts";
import { hex, publicKey, verify, yOf } from "./p256.ts";
import { isSignedBy } from "./sign1.ts";
import { readToken, type Claims, type Token } from "./token.ts";

const PREFIX = "YM1:";
const MAX_CHARS = 1_500;
const PROOF_CONTEXT = new TextEncoder().encode("YM1 proof");
/** White space as Unicode has it; that of `trim` differs in two characters. */
const AROUND = /^\p{White_Space}+|\p{White_Space}+$/gu;

/** Why a code is refused. */
export type Refusal =
  | "malformed"
  | "unknown_issuer"
  | "forged"
  | "wrong_phone"
  | "not_yet_valid"
  | "expired"
  | "stale_proof";

/** The public keys of issuers, by their key ids in hexadecimal. */
export type IssuerKeys = ReadonlyMap<string, CryptoKey>;

/** How the moment of a scan is judged; in seconds. */
export interface TimeRules {
  /** How long ago a code may have been shown. */
  proofAge: number;
  /** How far a phone's clock may be ahead. */
  ahead: number;
  /** How long after its end a token still counts. */
  expired: number;
}

export const USUAL_TIMES: TimeRules = { proofAge: 60, ahead: 30, expired: 0 };

interface Code {
  token: Token;
  /** null in a code without a phone's key. */
  shown: { at: number; before: Bytes; proof: Bytes } | null;
}

/** Verifies a code by its signatures, at `now` (seconds since 1970): what its token claims, or why it is refused. */
export async function verifyCode(
  text: string,
  issuers: IssuerKeys,
  now: number,
  rules: TimeRules = USUAL_TIMES,
): Promise<Claims | Refusal> {
  let code: Code;
  try {
    code = readCode(text);
  } catch (error) {
    if (error instanceof MalformedError) return "malformed";
    throw error;
  }
  const { token, shown } = code;
  const issuer = issuers.get(hex(token.sign1.keyId));
  if (!issuer) return "unknown_issuer";
  if (!(await isSignedBy(issuer, token.sign1))) return "forged";
  if (shown && token.claims.phone) {
    const { x, yIsOdd } = token.claims.phone.point;
    const y = yOf(x, yIsOdd);
    const phone = y && (await publicKey(x, y));
    if (!phone) return "malformed";
    if (!(await verify(phone, shown.proof, concat(PROOF_CONTEXT, shown.before)))) return "wrong_phone";
  }
  return refusalAt(token.claims, shown?.at ?? now, now, rules) ?? token.claims;
}

function readCode(text: string): Code {
  const trimmed = text.replace(AROUND, "");
  expect(trimmed.startsWith(PREFIX) && trimmed.length <= MAX_CHARS);
  const bytes = decodeBase45(trimmed.slice(PREFIX.length));
  expect(bytes !== null);
  const reader = new Reader(bytes);
  const items = reader.array();
  const token = readToken(reader.bytes());
  expect(items === (token.claims.phone ? 4 : 2));
  let shown: Code["shown"] = null;
  if (token.claims.phone) {
    const at = reader.seconds();
    const before = reader.before();
    shown = { at, before, proof: reader.bytes(64) };
  }
  // The MAC, which only read nodes can check.
  reader.bytes(8);
  reader.end();
  return { token, shown };
}

function refusalAt(claims: Claims, at: number, now: number, rules: TimeRules): Refusal | null {
  if (at > now + rules.ahead || at + rules.ahead < claims.validFrom) return "not_yet_valid";
  if (at >= claims.expiresAt + rules.expired) return "expired";
  return now - at > rules.proofAge ? "stale_proof" : null;
}
