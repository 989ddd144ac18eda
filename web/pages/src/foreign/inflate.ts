/** Decompression with a bound. */
import { concat, expect, type Bytes } from "../code/cbor.ts";

/**
 * A whole zlib stream (`deflate`, RFC 1950) or DEFLATE stream (`deflate-raw`, RFC 1951) of at most so many bytes, with
 * nothing after it. Throws a `MalformedError`.
 */
export async function inflate(format: CompressionFormat, bytes: Bytes, maxBytes: number): Promise<Bytes> {
  const content = await decompress(format, bytes, maxBytes);
  // Some engines take what follows the stream for nothing: it is whole without its last byte, too.
  expect(content !== null && (await decompress(format, bytes.subarray(0, -1), maxBytes)) === null);
  return content!;
}

/** null: not a stream, only a part of one, or too long. */
async function decompress(format: CompressionFormat, bytes: Bytes, maxBytes: number): Promise<Bytes | null> {
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  // What is wrong with the input is said by reading, too.
  for (const written of [writer.write(bytes), writer.close()]) written.catch(() => undefined);
  const reader = stream.readable.getReader();
  const chunks: Uint8Array[] = [];
  let left = maxBytes;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concat(...chunks);
      left -= value.length;
      if (left < 0) break;
      chunks.push(value);
    }
  } catch {
    return null;
  }
  void reader.cancel().catch(() => undefined);
  return null;
}
