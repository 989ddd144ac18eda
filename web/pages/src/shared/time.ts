/** The server's clock, and times as text. */
import { lang, t } from "./i18n.ts";

let offsetMs = 0;

/**
 * Corrects this device's clock by the server's time, as a `Date` header has it: phones' clocks are often wrong, and ages
 * and expiries are relative to the server's. A difference of up to 2 s is noise and leaves the device's clock
 * uncorrected. `meanErrorMs`: how far behind the server's time is on average; `Date` has whole seconds.
 */
export function observeServerClock(date: string | null, meanErrorMs = 500): void {
  const server = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(server)) return;
  const offset = server + meanErrorMs - Date.now();
  offsetMs = Math.abs(offset) > 2_000 ? offset : 0;
}

/** By how much the server's clock is ahead of this device's, in ms. */
export function serverClockOffset(): number {
  return offsetMs;
}

/** An offset that was observed earlier, until the server is heard again. */
export function assumeServerClockOffset(offset: number): void {
  offsetMs = offset;
}

/** The server's time as well as it is known, in ms since 1970. */
export function now(): number {
  return Date.now() + offsetMs;
}

/** "5 h ago"; seconds are written out so that a guard sees at a glance that a display is not live. */
export function ago(sinceMs: number): string {
  const seconds = Math.max(0, Math.floor((now() - sinceMs) / 1_000));
  if (seconds < 60) return t("ago_s", seconds);
  if (seconds < 3_600) return t("ago_min", Math.floor(seconds / 60));
  if (seconds < 72 * 3_600) return t("ago_h", Math.floor(seconds / 3_600));
  return t("ago_d", Math.floor(seconds / 86_400));
}

/** HH:MM:SS in the device's time zone. */
export function clockTime(ms: number): string {
  return format(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** HH:MM; with the date if it is not today's. */
export function minuteTime(ms: number): string {
  const time = format(ms, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return longDate(ms) === longDate(now()) ? time : `${longDate(ms)} ${time}`;
}

/** The date and time; the time alone if the date is today's. */
export function moment(ms: number): string {
  return longDate(ms) === longDate(now()) ? clockTime(ms) : `${longDate(ms)} ${clockTime(ms)}`;
}

export function longDate(ms: number): string {
  return format(ms, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
}

export function date(rfc3339: string): string {
  return format(Date.parse(rfc3339), { day: "numeric", month: "short", year: "numeric" });
}

export function dateTime(rfc3339: string): string {
  return format(Date.parse(rfc3339), {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Formats are cached: a DateTimeFormat is slow to construct on cheap phones, and the clock needs one each second. */
function format(ms: number, options: Intl.DateTimeFormatOptions): string {
  if (Number.isNaN(ms)) return "–";
  const key = lang() + JSON.stringify(options);
  let formatter = formats.get(key);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat(lang() === "zh" ? "zh-CN" : "en-GB", options);
    formats.set(key, formatter);
  }
  return formatter.format(ms);
}
