/**
 * When ten thousand open pages ask: the pages' own code, in virtual time, against a service that tells what
 * `read-api/src/pace.rs` and `live_display.rs` tell.
 */
import "./globals.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { DisplayUpdater } from "../src/citizen/display-updater.ts";
import { VirtualTime } from "./virtual-time.ts";

const PAGES = 10_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const time = new VirtualTime(Date.parse("2026-11-29T20:00:00Z"));
/** Of all pages together. */
class Listeners {
  hidden = false;
  readonly #heard = new Set<() => void>();

  addEventListener(_name: string, listener: () => void): void {
    this.#heard.add(listener);
  }

  removeEventListener(_name: string, listener: () => void): void {
    this.#heard.delete(listener);
  }

  dispatch(): void {
    for (const listener of this.#heard) listener();
  }
}

const [phones, screens] = [new Listeners(), new Listeners()];
Object.assign(globalThis, { window: phones, document: screens });
Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true });

/** The service, as far as the pages' pace goes. */
class Service {
  isUp = true;
  opensLiveDisplays = true;
  /** When each request came. */
  requests: number[] = [];
  readonly #open = new Set<ReadableStreamDefaultController<Uint8Array>>();

  get liveDisplays(): number {
    return this.#open.size;
  }

  async answer(path: string, signal: AbortSignal): Promise<object> {
    this.requests.push(time.now);
    if (!this.isUp) throw new TypeError("connection refused");
    if (path === "/v1/display") {
      const refreshAfter = String(30 + Math.round(30 * Math.random()));
      const fields = { etag: '"1"', "yima-as-of": this.#now(), "yima-refresh-after": refreshAfter, date: this.#now() };
      const body = { version: 1, colour: { code: "green" }, next_transition_at: null };
      return { ok: true, status: 200, headers: new Headers(fields), json: async () => body };
    }
    if (!this.opensLiveDisplays) {
      const headers = new Headers({ "retry-after": String(120 + Math.round(120 * Math.random())) });
      return { ok: false, status: 503, headers };
    }
    return { ok: true, status: 200, headers: new Headers(), body: this.#liveDisplay(signal) };
  }

  #liveDisplay(signal: AbortSignal): ReadableStream<Uint8Array> {
    const text = new TextEncoder();
    let report: ReturnType<typeof setTimeout>;
    const start = (events: ReadableStreamDefaultController<Uint8Array>): void => {
      const send = (more: string): void => {
        events.enqueue(text.encode(`event: unchanged\ndata: {"as_of":"${this.#now()}"}\n${more}\n`));
        report = setTimeout(() => this.#open.has(events) && send(""), MINUTE * (1 - Math.random() / 4));
      };
      signal.addEventListener("abort", () => {
        clearTimeout(report);
        if (this.#open.delete(events)) events.error(signal.reason);
      });
      this.#open.add(events);
      send(`retry: ${Math.round(SECOND + MINUTE * Math.random())}\n`);
    };
    return new ReadableStream({ start });
  }

  /** Its connections end at once. */
  stop(): void {
    this.isUp = false;
    for (const events of this.#open) events.close();
    this.#open.clear();
  }

  /** The requests of each second of the minute that begins now. */
  async minute(): Promise<number[]> {
    const start = time.now;
    this.requests = [];
    await time.pass(MINUTE);
    const seconds = Array.from({ length: 60 }, () => 0);
    for (const at of this.requests) seconds[Math.min(59, Math.floor((at - start) / SECOND))]! += 1;
    return seconds;
  }

  #now(): string {
    return new Date(time.now).toISOString();
  }
}

const service = new Service();
globalThis.fetch = ((path: string, { signal }: { signal: AbortSignal }) => service.answer(path, signal)) as typeof fetch;

/** Pages that are opened over two minutes. */
async function openPages(): Promise<DisplayUpdater[]> {
  const listener = {
    changed: () => undefined,
    newVersion: () => undefined,
    sessionOver: () => undefined,
    guardianshipOver: () => undefined,
  };
  const pages: DisplayUpdater[] = [];
  for (let n = 0; n < PAGES; n++) {
    setTimeout(
      () => pages.push(new DisplayUpdater({ session: "s", endsAt: Infinity, ward: null }, listener)),
      Math.random() * 2 * MINUTE,
    );
  }
  await time.pass(2 * MINUTE);
  return pages;
}

function show(seen: boolean): void {
  screens.hidden = !seen;
  screens.dispatch();
}

function assertSpread(event: string, seconds: number[], perPage: number): void {
  const requests = seconds.reduce((sum, one) => sum + one, 0);
  const [most, mean] = [Math.max(...seconds), requests / 60];
  console.log(`${event}: ${requests} requests in 60 s, most in a second ${(most / mean).toFixed(2)} of the mean`);
  assert.ok(most <= 2 * mean, `${event}: ${seconds.join(" ")}`);
  assert.ok(requests >= PAGES * 0.9 && requests <= PAGES * perPage, `${event}: ${requests} requests`);
}

const isCurrent = (page: DisplayUpdater): boolean => time.now - page.asOf <= page.liveMs && page.failure === null;

test("open pages with live displays ask nothing, and a crowd of them is spread over a minute", async () => {
  const pages = await openPages();
  assert.equal(service.liveDisplays, PAGES);
  service.requests = [];
  await time.pass(5 * MINUTE);
  assert.equal(service.requests.length, 0, "with nothing to tell");
  assert.ok(pages.every(isCurrent), "live");

  show(false);
  await time.pass(9 * HOUR);
  assert.deepEqual([service.requests.length, service.liveDisplays], [0, 0], "asleep");
  show(true);
  assertSpread("waking at 08:00", await service.minute(), 1.1);
  assert.equal(service.liveDisplays, PAGES);
  assert.ok(pages.every(isCurrent), "each has asked within the minute");

  service.stop();
  setTimeout(() => (service.isUp = true), 5 * SECOND);
  assertSpread("a restart", await service.minute(), 1.2);
  await time.pass(MINUTE);
  assert.equal(service.liveDisplays, PAGES);

  // The network of a city comes back, after live displays have broken.
  show(false);
  show(true);
  service.requests = [];
  phones.dispatch();
  assertSpread("the network's return", await service.minute(), 1.1);

  // One person who does not want to wait.
  show(false);
  await time.pass(HOUR);
  show(true);
  service.requests = [];
  pages[7]!.refresh();
  await time.pass(1);
  assert.ok(service.requests.length >= 1 && isCurrent(pages[7]!), "at once");
  pages.forEach((page) => page.stop());
});

test("pages without live displays ask every 30 to 60 seconds", async () => {
  service.opensLiveDisplays = false;
  const pages = await openPages();
  await time.pass(2 * MINUTE);
  service.requests = [];
  await time.pass(6 * MINUTE);
  const perMinute = service.requests.length / PAGES / 6;
  // A poll each 45 s on average, and a try to open a live display each 3 minutes.
  assert.ok(perMinute > 1.4 && perMinute < 1.9, `${perMinute} requests a minute`);
  assert.ok(pages.every(isCurrent), "live");
  show(false);
  await time.pass(9 * HOUR);
  show(true);
  assertSpread("waking without live displays", await service.minute(), 3);
  assert.ok(pages.every((page) => time.now - page.asOf <= MINUTE + 3 * SECOND), "each has asked within the minute");
  pages.forEach((page) => page.stop());
});
