/** The issuers whose codes are read. */
import type { IssuerKeys } from "./code.ts";
import type { Bytes } from "./cbor.ts";
import { hex, publicKey } from "./p256.ts";

/** `GET /v1/keys`: a JSON Web Key Set (RFC 7517 section 5), the members that are read. */
export interface KeySet {
  keys: { kid: string; x: string; y: string }[];
}

/** A key that is no point of the curve is left out. */
export async function issuerKeys({ keys }: KeySet): Promise<IssuerKeys> {
  const known = new Map<string, CryptoKey>();
  for (const { kid, x, y } of keys) {
    const key = await publicKey(fromBase64Url(x), fromBase64Url(y));
    if (key) known.set(hex(fromBase64Url(kid)), key);
  }
  return known;
}

function fromBase64Url(text: string): Bytes {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
