/** What a genuine code of another system states, and how its texts are read. Times are in milliseconds since 1970. */
import { expect, MalformedError } from "../code/cbor.ts";

/** Why a code proves nothing; the reasons of `docs/api.md`. */
export type Refusal =
  | "malformed"
  | "foreign_unsupported"
  | "foreign_in_parts"
  | "foreign_issuer_unknown"
  | "forged"
  | "foreign_key_usage"
  | "foreign_revoked"
  | "foreign_expired"
  | "foreign_not_yet_valid";

/** A code proves nothing, for this reason. One that is malformed throws a `MalformedError`. */
export class RefusedCode extends Error {
  readonly reason: Refusal;

  constructor(reason: Refusal) {
    super();
    this.reason = reason;
  }
}

export interface Certificate {
  scheme: "eu_dcc" | "smart_health_card";
  /** ISO 3166-1 alpha-2. */
  country: string;
  issuer: string | null;
  name: string;
  born: string | null;
  proofs: Proof[];
}

export type Proof = Vaccination | TestResult | Recovery;

/** Doses of one person. An EU certificate has the last dose alone. */
export interface Vaccination {
  kind: "vaccination";
  disease: string | null;
  doses: Dose[];
  /** Number of the last dose, if the code counts them; doses of the series. */
  number: number | null;
  series: number | null;
}

export interface Dose {
  /** The value set of the code. */
  system: "eu" | "cvx";
  code: string;
  /** A day, as all days: whole ones since 1970. */
  givenOn: number;
}

export interface TestResult {
  kind: "test";
  disease: string | null;
  test: string;
  result: string;
  sampledAt: number;
}

export interface Recovery {
  kind: "recovery";
  disease: string | null;
  firstPositiveOn: number;
  validFrom: number;
  validUntil: number;
}

export const DAY_MS = 86_400_000;
const MAX_TEXT = 100;
const MAX_NAME = 200;
/** The years 1 and 9999, up to a few hours. */
const EARLIEST = -62_135_596_800_000;
const LATEST = 253_402_207_200_000;
/** How far an issuer's clock may be ahead. */
export const CLOCK_SKEW_MS = 300_000;

const AROUND = /^\p{White_Space}+|\p{White_Space}+$/gu;
/** Characters without a form of their own. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const DATE = /^(\d{4})-?(\d\d)-?(\d\d)$/;
const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)$/;

export const trim = (text: string): string => text.replace(AROUND, "");

function plainText(text: string, maxChars: number): string {
  const plain = trim(text).normalize("NFC");
  const chars = [...plain].length;
  expect(chars >= 1 && chars <= maxChars && !HIDDEN.test(plain));
  return plain;
}

/** A code, number or identifier. */
export const code = (text: string): string => plainText(text, MAX_TEXT);

/** A person's name of several parts, of which some may be missing. */
export function name(parts: string[]): string {
  return plainText(parts.map(trim).filter((part) => part !== "").join(" "), MAX_NAME);
}

/** A whole date. Some issuers add a time, which is ignored. */
export function day(text: string): number {
  const [, year, month, date] = DATE.exec(text.split("T")[0]!) ?? [];
  // `Date.UTC` takes the years up to 99 for those of the 20th century.
  const at = new Date(0).setUTCFullYear(Number(year), Number(month) - 1, Number(date));
  // Of a date that is in no calendar another one comes.
  expect(at >= EARLIEST && new Date(at).toISOString().startsWith(`${year}-${month}-${date}`));
  return at / DAY_MS;
}

/** `YYYY-MM-DD`. */
export const dayText = (days: number): string => new Date(days * DAY_MS).toISOString().slice(0, 10);

/** A time with an offset, which may have no minutes. Of a date alone its beginning (UTC) counts. */
export function time(text: string): number {
  if (DATE.test(text)) return day(text) * DAY_MS;
  const found = TIME.exec(text);
  if (!found) throw new MalformedError();
  const [, date, hour, minute, second = "0", fraction = "", sign, offsetH = "0", offsetM = "0"] = found;
  const [h, m, s] = [Number(hour), Number(minute), Number(second)];
  expect(h < 24 && m < 60 && s <= 60 && Number(offsetH) < 26 && Number(offsetM) < 60);
  const offset = (Number(offsetH) * 60 + Number(offsetM)) * (sign === "-" ? -1 : 1);
  // A leap second counts as the second before.
  const seconds = ((h * 60 + m - offset) * 60 + Math.min(s, 59)) * 1_000;
  return clamp(day(date!) * DAY_MS + seconds + Number(fraction.padEnd(3, "0").slice(0, 3)));
}

/** RFC 3339, with milliseconds only where there are some. */
export const timeText = (at: number): string => new Date(at).toISOString().replace(".000Z", "Z");

/** A moment in seconds since 1970, whole or not. */
export function moment(seconds: number): number {
  expect(Number.isFinite(seconds));
  return clamp(Math.trunc(seconds * 1_000));
}

const clamp = (ms: number): number => Math.min(Math.max(ms, EARLIEST), LATEST);

/** A date of birth in full, or its year, or its year and month; empty if unknown. */
export function born(text: string): string | null {
  const written = text.split("T")[0]!;
  if (written === "") return null;
  if (!/^\d{4}(?:-\d\d)?$/.test(written)) expect(dayText(day(written)) === written);
  return written;
}

/** Compares the times of a code, or of a certificate, with the clock. The last moment counts. */
export function checkTimes(from: number, until: number | null, now: number): void {
  if (from > now + CLOCK_SKEW_MS) throw new RefusedCode("foreign_not_yet_valid");
  if (until !== null && until < now) throw new RefusedCode("foreign_expired");
}
