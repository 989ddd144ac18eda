/** An event as a flat record of texts: a row of a file, or what the form has. */
import { readDate, readTime } from "./dates.ts";
import {
  FIELD_NAMES,
  FIELDS,
  KINDS,
  ownFields,
  requiredFields,
  valueOf,
  VALUES,
  type Field,
  type FieldName,
  type Kind,
} from "./fields.ts";
import { REASON } from "./reasons.ts";
import { plainNumber, residentIdError, shortenedError } from "./resident-id.ts";
import { serialTime } from "./serial-time.ts";

export type EventRecord = Partial<Record<FieldName, string>>;

/** A field with an error, as in a problem document. */
export interface FieldError {
  /** `/` and the field's name. */
  pointer: string;
  detail: string;
}

export interface Reading {
  /** The agency that sends, which prefixes its own numbers. */
  agency: string | null;
  /** Since when a spreadsheet counts its days, where numbers stand for dates; null in a text. */
  daysSince: 1900 | 1904 | null;
}

const WORDS: Partial<Record<FieldName, readonly string[]>> = VALUES;

/**
 * Brings texts into the form that the service reads: words of either language, dates of a spreadsheet. What the page
 * cannot read is an error; all else is for the service to judge.
 */
export function readRecord(raw: EventRecord, reading: Reading): { record: EventRecord; errors: FieldError[] } {
  const record: EventRecord = {};
  const errors: FieldError[] = [];
  for (const name of FIELD_NAMES) {
    const text = raw[name]?.trim() ?? "";
    if (text === "") continue;
    const read = readValue(name, text, reading);
    if ("error" in read) errors.push({ pointer: `/${name}`, detail: read.error });
    else record[name] = read.value;
  }
  const kind = kindOf(record);
  // Laboratories' lists have the name beside the result. It belongs to identities only and does not leave the page.
  if (kind !== null && kind !== "identity") delete record.name;
  const error = numberError(record);
  if (error !== null) errors.push({ pointer: "/document_number", detail: error });
  if (record.document_type === "local" && record.document_number && reading.agency !== null) {
    const number = record.document_number;
    record.document_number = number.includes("/") ? number : `${reading.agency}/${number}`;
  }
  const missing = requiredFields(kind)
    .filter((name) => !raw[name]?.trim())
    .map((name) => ({ pointer: `/${name}`, detail: REASON.missing }));
  return { record, errors: [...missing, ...errors] };
}

function readValue(name: FieldName, text: string, reading: Reading): { value: string } | { error: string } {
  const field: Field = FIELDS[name];
  switch (field.type) {
    case "text":
    case "document":
      return { value: text };
    case "number":
      return { value: text.normalize("NFKC").replace(/^(\d+)\.0$/, "$1") };
    case "date":
    case "time": {
      const isSerial = reading.daysSince !== null && /^\d{5}(\.\d+)?$/.test(text);
      const time = isSerial ? serialTime(Number(text), reading.daysSince === 1904) : text;
      return field.type === "time" ? readTime(time) : readDate(time);
    }
    case "word": {
      const value = valueOf(name, text);
      if (value !== null) return { value };
      // A region may have reasons of its own.
      return name === "reason" ? { value: text } : { error: REASON.oneOf.replace("{}", WORDS[name]!.join(", ")) };
    }
  }
}

function numberError({ document_type: type, document_number: number }: EventRecord): string | null {
  if (number === undefined) return null;
  const plain = plainNumber(number);
  return shortenedError(plain) ?? (type === "cn_resident_id" ? residentIdError(plain) : null);
}

export function kindOf(record: EventRecord): Kind | null {
  return KINDS.find((kind) => kind === record.kind) ?? null;
}

/** The event as the service reads it. */
export function toEvent(record: EventRecord): Record<string, unknown> {
  const kind = kindOf(record)!;
  const pick = (names: readonly FieldName[]): Record<string, unknown> =>
    Object.fromEntries(names.filter((name) => record[name]).map((name) => [name, valueIn(name, record[name]!)]));
  return {
    ...pick(["id", "kind", "revision", "occurred_at"]),
    subject: pick(["document_type", "document_number"]),
    data: pick(ownFields(kind)),
  };
}

function valueIn(name: FieldName, text: string): string | number {
  return FIELDS[name].type === "number" && /^\d+$/.test(text) ? Number(text) : text;
}

/** Whether an event restricts its person or closes the code, so that a mistake in it does harm at once. */
export function restricts({ result, colour, deceased_at }: EventRecord): boolean {
  return result === "positive" || colour === "yellow" || colour === "red" || deceased_at !== undefined;
}

/** The retractions of events that were sent, each as a line of JSON. */
export function retractionRows(records: EventRecord[], why: string): { record: EventRecord; text: string }[] {
  const [id, occurred_at] = [newId(), new Date().toISOString()];
  return records.map(({ document_type, document_number, id: event_id }, at) => {
    const own = { id: `${id}-${at}`, kind: "retraction", occurred_at, event_id, why };
    const record = { ...own, document_type, document_number } as EventRecord;
    return { record, text: JSON.stringify(toEvent(record)) };
  });
}

/** An id of its own for each event until it is accepted, so that a repeated request is a duplicate. */
export function newId(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return `web-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
