/** Values that stay in the browser's storage, unreadable but by their key, which cannot be read out itself. */
import type { Bytes } from "../code/cbor.ts";

/** AES-256-GCM, with a key of its own for each value. */
export interface Sealed {
  key: CryptoKey;
  iv: Bytes;
  bytes: ArrayBuffer;
}

export async function seal(value: unknown): Promise<Sealed> {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(value));
  return { key, iv, bytes: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, text) };
}

/** Rejects if the key was lost, as in a backup that was restored onto another phone. */
export async function unseal<T>({ key, iv, bytes }: Sealed): Promise<T> {
  const text = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, bytes);
  return JSON.parse(new TextDecoder().decode(text)) as T;
}
