/** Dates and times as people and spreadsheets write them. */
import { REASON } from "./reasons.ts";

const TIME = String.raw`(?:[T\s]*(上午|下午|am|pm)?\s*(\d{1,2})[:时](\d{1,2})分?(?::?(\d{1,2})秒?(?:\.\d+)?)?\s*(am|pm)?)?`;
const YEAR_FIRST = new RegExp(String.raw`^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?${TIME}$`, "i");
const YEAR_LAST = new RegExp(String.raw`^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})${TIME}$`, "i");
/** As laboratory systems write them: 20261129 or 202611291430. */
const DIGITS = /^((?:19|20)\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?$/;
const RFC_3339 = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;
const SPREADSHEET = /^\d{5}(\.\d+)?$/;

/** Wall-clock time; without a time of day it is midnight. */
interface Parts {
  day: [number, number, number];
  time: [number, number, number];
}

/**
 * A time as RFC 3339; without an offset it is in this device's time zone, without a time of day it is the day's first
 * moment. Returns `error` if it cannot be read, or could be read in two ways.
 */
export function readTime(text: string): { value: string } | { error: string } {
  const plain = text.normalize("NFKC").trim();
  if (RFC_3339.test(plain)) return { value: plain.replace(" ", "T") };
  const parts = read(plain);
  if (typeof parts === "string") return { error: parts };
  const [[year, month, day], [hour, minute, second]] = [parts.day, parts.time];
  return { value: new Date(year, month - 1, day, hour, minute, second).toISOString().replace(".000Z", "Z") };
}

/** A calendar date as YYYY-MM-DD. */
export function readDate(text: string): { value: string } | { error: string } {
  const parts = read(text.normalize("NFKC").trim());
  if (typeof parts === "string") return { error: parts === REASON.time ? REASON.date : parts };
  return { value: parts.day.map((part, at) => String(part).padStart(at === 0 ? 4 : 2, "0")).join("-") };
}

/** A time as this page's fields show it, in the device's time zone: 2026-11-29 14:30, with seconds if it has any. */
export function localTime(rfc3339: string): string {
  const time = new Date(rfc3339);
  if (Number.isNaN(time.getTime())) return rfc3339;
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const seconds = time.getSeconds() === 0 ? "" : `:${two(time.getSeconds())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}${seconds}`;
}

function read(text: string): Parts | string {
  if (SPREADSHEET.test(text)) return REASON.serialDate;
  const first = YEAR_FIRST.exec(text);
  if (first) return check([first[1], first[2], first[3]], timeOf(first.slice(4)));
  const digits = DIGITS.exec(text);
  if (digits) return check([digits[1], digits[2], digits[3]], [digits[4], digits[5], digits[6]]);
  const last = YEAR_LAST.exec(text);
  if (!last) return REASON.time;
  const [one, two, year, time] = [Number(last[1]), Number(last[3]), last[4], timeOf(last.slice(5))];
  // 29.11.2026 and 11/29/2026 have one reading each, 05/06/2026 has two.
  if (one <= 12 && two <= 12 && one !== two) return REASON.ambiguousDate;
  return one > 12 ? check([year, last[3], last[1]], time) : check([year, last[1], last[3]], time);
}

type Text = string | undefined;

function timeOf([before, hour, minute, second, after]: Text[]): [Text, Text, Text] {
  const half = (before ?? after)?.toLowerCase();
  if (half === undefined || hour === undefined) return [hour, minute, second];
  const isAfternoon = half === "pm" || half === "下午";
  // No hour of a half day is above 12.
  const inDay = Number(hour) > 12 ? 99 : (Number(hour) % 12) + (isAfternoon ? 12 : 0);
  return [String(inDay), minute, second];
}

function check(day: Text[], time: Text[]): Parts | string {
  const [year, month, date] = day.map(Number) as [number, number, number];
  const [hour, minute, second] = [0, 1, 2].map((at) => Number(time[at] ?? 0)) as [number, number, number];
  const exists = new Date(Date.UTC(year, month - 1, date));
  const isDay = exists.getUTCMonth() === month - 1 && exists.getUTCDate() === date;
  if (!isDay || hour > 23 || minute > 59 || second > 59) return REASON.time;
  return { day: [year, month, date], time: [hour, minute, second] };
}
