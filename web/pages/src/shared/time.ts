import { lang, t } from "./i18n.ts";

let offsetMs = 0;

/**
 * Phones' clocks are often wrong, and ages and expiries are judged against the server's. `Date` counts whole seconds, so
 * a difference of up to 2 s is noise and the phone's own, steady clock is kept.
 */
export function observeServerClock(date: string | null): void {
  const server = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(server)) return;
  const offset = server + 500 - Date.now();
  offsetMs = Math.abs(offset) > 2_000 ? offset : 0;
}

/** The server's time, as far as it is known, in ms since 1970. */
export function now(): number {
  return Date.now() + offsetMs;
}

/** "5 h ago"; seconds are named so that a guard sees at a glance what is not live. */
export function ago(sinceMs: number): string {
  const seconds = Math.max(0, Math.floor((now() - sinceMs) / 1_000));
  if (seconds < 60) return t("ago_s", seconds);
  if (seconds < 3_600) return t("ago_min", Math.floor(seconds / 60));
  if (seconds < 72 * 3_600) return t("ago_h", Math.floor(seconds / 3_600));
  return t("ago_d", Math.floor(seconds / 86_400));
}

/** HH:MM:SS on the phone's wall clock. */
export function clockTime(ms: number): string {
  return format(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** The time alone if it is of today, which nobody has to be told. */
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

/** Making a DateTimeFormat is slow on cheap phones, and the clock asks each second. */
function format(ms: number, options: Intl.DateTimeFormatOptions): string {
  if (Number.isNaN(ms)) return "–";
  const key = lang() + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(lang() === "zh" ? "zh-CN" : "en-GB", options);
    formats.set(key, made);
  }
  return made.format(ms);
}
