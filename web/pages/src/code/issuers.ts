/** The issuers whose codes are read. */
import { decodeBase64Url } from "../shared/base64url.ts";
import type { IssuerKeys } from "./code.ts";
import { hex, publicKey } from "./p256.ts";

/** `GET /v1/keys`: a JSON Web Key Set (RFC 7517 section 5), the members that are read. */
export interface KeySet {
  keys: { kid: string; x: string; y: string }[];
}

/** A key that is no point of the curve is left out. */
export async function issuerKeys({ keys }: KeySet): Promise<IssuerKeys> {
  const known = new Map<string, CryptoKey>();
  for (const { kid, x, y } of keys) {
    const key = await publicKey(decodeBase64Url(x), decodeBase64Url(y));
    if (key) known.set(hex(decodeBase64Url(kid)), key);
  }
  return known;
}
