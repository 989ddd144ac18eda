/** COSE_Sign1 (RFC 9052 section 4.2), untagged, of one form: ES256, a key id, nothing unprotected. */
import { bytesHead, concat, expect, Reader, type Bytes } from "./cbor.ts";
import { verify } from "./p256.ts";

const ALGORITHM = 1;
const KEY_ID = 4;
const ES256 = -7;
/** Head of an array of four, and the text "Signature1". */
const CONTEXT = Uint8Array.of(0x84, 0x6a, ...new TextEncoder().encode("Signature1"));

/** As it was read, nothing of it verified. */
export interface Sign1 {
  protectedHeader: Bytes;
  keyId: Bytes;
  payload: Bytes;
  signature: Bytes;
}

export function readSign1(bytes: Bytes): Sign1 {
  const reader = new Reader(bytes);
  expect(reader.array() === 4);
  const protectedHeader = reader.bytes();
  const keyId = readHeader(protectedHeader);
  expect(reader.map() === 0);
  const payload = reader.bytes();
  const signature = reader.bytes(64);
  reader.end();
  return { protectedHeader, keyId, payload, signature };
}

/** Whether the signature is by this key. `external`: what is signed beside it. */
export function isSignedBy(key: CryptoKey, sign1: Sign1, external: Bytes = new Uint8Array()): Promise<boolean> {
  const parts = [sign1.protectedHeader, external, sign1.payload].flatMap((part) => [bytesHead(part.length), part]);
  return verify(key, sign1.signature, concat(CONTEXT, ...parts));
}

function readHeader(bytes: Bytes): Bytes {
  const reader = new Reader(bytes);
  expect(reader.map() === 2);
  reader.key(ALGORITHM);
  expect(reader.int() === BigInt(ES256));
  reader.key(KEY_ID);
  const keyId = reader.bytes();
  reader.end();
  return keyId;
}
