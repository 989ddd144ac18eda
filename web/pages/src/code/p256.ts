/** Public keys of P-256 (FIPS 186-5) and signatures by them: ES256, r and s of 32 bytes each. */
import { concat, type Bytes } from "./cbor.ts";

const PRIME = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;

/** The key of a point with both coordinates; null if it is not on the curve. */
export async function publicKey(x: Bytes, y: Bytes): Promise<CryptoKey | null> {
  try {
    return await crypto.subtle.importKey("raw", concat(Uint8Array.of(4), x, y), ALGORITHM, false, ["verify"]);
  } catch {
    return null;
  }
}

/**
 * y of a point by its x and the lowest bit of y (SEC 1 section 2.3.4), since browsers do not import such points; null
 * if there is no such point.
 */
export function yOf(x: Bytes, isOdd: boolean): Bytes | null {
  const a = BigInt(`0x${hex(x)}`);
  if (a >= PRIME) return null;
  const square = (a * a * a - 3n * a + B) % PRIME;
  // The prime is 3 modulo 4.
  let y = power((square + PRIME) % PRIME, (PRIME + 1n) / 4n);
  if ((y * y - square) % PRIME !== 0n) return null;
  // There is no point with y = 0 on this curve.
  if ((y & 1n) !== (isOdd ? 1n : 0n)) y = PRIME - y;
  return fromHex(y.toString(16).padStart(64, "0"));
}

/** Whether the signature over the message is by this key. */
export function verify(key: CryptoKey, signature: Bytes, message: Bytes): Promise<boolean> {
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, message);
}

export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let bits = exponent; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = (result * base) % PRIME;
    base = (base * base) % PRIME;
  }
  return result;
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
