/** What a printed code says: for whom it is, masked, and no colour. */
import { expect, type Reader } from "./cbor.ts";
import { MAX_NAME_BYTES } from "./snapshot.ts";

export interface Paper {
  name: string | null;
  document: string | null;
}

export function readPaper(reader: Reader): Paper {
  expect(reader.array() === 2);
  const text = () => reader.nullable(() => reader.text(MAX_NAME_BYTES));
  return { name: text(), document: text() };
}
