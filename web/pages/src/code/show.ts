/** Makes the codes of a phone: a token, shown at one moment (`docs/code-format.md`, "What a phone does"). */
import { encodeBase45 } from "./base45.ts";
import { bytesHead, concat, type Bytes } from "./cbor.ts";

const PROOF_CONTEXT = new TextEncoder().encode("YM1 proof");
const MAC_CONTEXT = new TextEncoder().encode("YM1 mac");
const MAC_BYTES = 8;
const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;

/** What a phone needs of a token. Neither key can be read out. */
export interface ShowableToken {
  token: Bytes;
  /** The private key that the token names (P-256). */
  key: CryptoKey;
  /** The token's secret, a key of HMAC-SHA-256. */
  secret: CryptoKey;
}

/** A new key for a token, and its public point, compressed (SEC 1 section 2.3.3). */
export async function newTokenKey(): Promise<{ key: CryptoKey; point: Bytes }> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  return { key: privateKey, point: concat(Uint8Array.of(2 | (raw[64]! & 1)), raw.subarray(1, 33)) };
}

/** The secret that came with a token, 32 bytes, as a key that cannot be read out. */
export function importSecret(bytes: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

/** The code of a token at `shownAt`, by the server's clock: whole seconds since 1970. */
export async function showCode({ token, key, secret }: ShowableToken, shownAt: number): Promise<string> {
  const head = concat(Uint8Array.of(0x84), bytesHead(token.length), token, seconds(shownAt));
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const proof = new Uint8Array(await crypto.subtle.sign(algorithm, key, concat(PROOF_CONTEXT, head)));
  const proved = concat(head, bytesHead(proof.length), proof);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", secret, concat(MAC_CONTEXT, proved)));
  return `YM1:${encodeBase45(concat(proved, bytesHead(MAC_BYTES), mac.subarray(0, MAC_BYTES)))}`;
}

/** An unsigned integer of four bytes, as every time from 1970-01-01T18:12:16Z to 2106 is. */
function seconds(time: number): Bytes {
  const bytes = new Uint8Array(5);
  bytes[0] = 0x1a;
  new DataView(bytes.buffer).setUint32(1, time);
  return bytes;
}
