/** Base45 (RFC 9285): bytes as the characters of a QR code's alphanumeric mode. */
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const VALUES = new Map([...ALPHABET].map((character, value) => [character, value]));

/** Two bytes are three characters, a last one is two; the least significant character comes first. */
export function encodeBase45(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 2) {
    const pair = i + 1 < bytes.length;
    let value = pair ? bytes[i]! * 256 + bytes[i + 1]! : bytes[i]!;
    for (let n = pair ? 3 : 2; n > 0; n--) {
      text += ALPHABET[value % 45];
      value = Math.floor(value / 45);
    }
  }
  return text;
}

/** The bytes; null if the text has another character, a group above 65,535 (a last one of two: 255), or one over. */
export function decodeBase45(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 3 === 1) return null;
  const bytes = new Uint8Array(Math.floor(text.length / 3) * 2 + (text.length % 3 === 2 ? 1 : 0));
  for (let i = 0, at = 0; i < text.length; i += 3) {
    const pair = i + 2 < text.length;
    const [a, b, c] = [VALUES.get(text[i]!), VALUES.get(text[i + 1]!), pair ? VALUES.get(text[i + 2]!) : 0];
    if (a === undefined || b === undefined || c === undefined) return null;
    const value = a + 45 * b + 2025 * c;
    if (value > (pair ? 0xffff : 0xff)) return null;
    if (pair) bytes[at++] = value >> 8;
    bytes[at++] = value & 0xff;
  }
  return bytes;
}
