import { call, get, Refused, secondsHeader } from "../shared/api.ts";
import { Poller } from "../shared/poller.ts";
import { now } from "../shared/time.ts";
import type { Code, Display } from "../shared/types.ts";

export type Trouble = "offline" | "busy";

export interface Listener {
  changed(): void;
  sessionOver(): void;
}

const REFRESH_MS = 1_000;
// How long after a known transition the old segment may still be on the screen: what clocks and one request need.
const TRANSITION_GRACE_MS = 2_000;
const MAX_STALE_MS = 24 * 3_600_000;

/** Keeps one citizen's display current by asking, with its ETag, whether it changed. */
export class DisplayFollower {
  display: Display | null = null;
  /** Every event before this moment is in `display`; ms since 1970, server's clock. */
  asOf = NaN;
  trouble: Trouble | null = null;

  readonly #session: string;
  readonly #listener: Listener & { newVersion(colourChanged: boolean): void };
  readonly #poller: Poller;
  #etag: string | null = null;
  /** When the request that was answered last was sent. */
  #askedAt = -Infinity;

  constructor(session: string, listener: Listener & { newVersion(colourChanged: boolean): void }) {
    this.#session = session;
    this.#listener = listener;
    this.#poller = new Poller(() => this.#load(), {
      failed: (error) => {
        this.trouble = error instanceof Refused && error.busy ? "busy" : "offline";
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
    });
  }

  stop(): void {
    this.#poller.stop();
  }

  /** What is held is known to be no longer true, or too old to show; it must not be shown as anyone's colour. */
  superseded(): boolean {
    const next = this.#nextTransition();
    // An answer asked for after the transition stands, whatever this phone thinks the time is.
    const missed = this.#askedAt < next && next + TRANSITION_GRACE_MS <= now();
    return missed || this.asOf + MAX_STALE_MS <= now();
  }

  async #load(): Promise<number> {
    const askedAt = now();
    const { body, headers } = await call<Display>("GET", "/v1/display", { bearer: this.#session, etag: this.#etag });
    const asOf = Date.parse(headers.get("yima-as-of") ?? "");
    const before = this.display;
    this.trouble = null;
    this.#askedAt = askedAt;
    if (body) {
      this.display = body;
      this.asOf = asOf;
      const etag = headers.get("etag");
      const fresh = etag === null || etag !== this.#etag;
      this.#etag = etag;
      if (before && fresh) this.#listener.newVersion(before.colour.code !== body.colour.code);
    } else if (!(asOf <= this.asOf)) {
      // Another node may have proved the same version less recently; what was proved once stays proved.
      this.asOf = asOf;
    }
    this.#listener.changed();
    return this.#delay(secondsHeader(headers, "yima-refresh-after") ?? 0);
  }

  /** The server may ask for fewer visits, but a transition is fetched when it comes. */
  #delay(askedMs: number): number {
    const toTransition = this.#nextTransition() - now();
    const usual = Math.max(REFRESH_MS, askedMs);
    if (toTransition > 0) return Math.min(usual, toTransition + 20);
    // Just past: the server's clock may be a little behind this one.
    return toTransition > -5_000 ? REFRESH_MS : usual;
  }

  #nextTransition(): number {
    return Date.parse(this.display?.next_transition_at ?? "");
  }
}

const RENEW_BEFORE_MS = 15_000;
// Codes are limited to 6 a minute.
const APART_MS = 10_000;

/** Keeps a signed code at hand that is not about to expire and says the same as the display. */
export class CodeFollower {
  readonly #session: string;
  readonly #listener: Listener;
  readonly #poller: Poller;
  #held: { text: string; expiresAt: number } | null = null;
  #loadedAt = -Infinity;
  #outdated = false;
  #urgent = false;

  constructor(session: string, listener: Listener) {
    this.#session = session;
    this.#listener = listener;
    this.#poller = new Poller(() => this.#load(), {
      failed: () => listener.changed(),
      sessionOver: () => listener.sessionOver(),
    });
  }

  /** "expired" only for a code that was shown: before the first one it is "loading". */
  current(): { text: string } | "loading" | "expired" {
    if (!this.#held) return "loading";
    return this.#held.expiresAt <= now() ? "expired" : this.#held;
  }

  /** The display changed. A code of another colour is withdrawn at once. */
  newVersion(colourChanged: boolean): void {
    this.#outdated = true;
    if (colourChanged) {
      this.#urgent = true;
      this.#held = null;
    }
    this.#poller.poke();
  }

  stop(): void {
    this.#poller.stop();
  }

  #dueAt(): number {
    if (this.#urgent || !this.#held) return 0;
    const renewAt = this.#held.expiresAt - RENEW_BEFORE_MS;
    return Math.max(this.#outdated ? 0 : renewAt, this.#loadedAt + APART_MS);
  }

  async #load(): Promise<number> {
    const wait = this.#dueAt() - now();
    if (wait > 0) return wait;
    const urgent = this.#urgent;
    this.#urgent = this.#outdated = false;
    try {
      const { code, expires_at } = await get<Code>("GET", "/v1/code", { bearer: this.#session });
      this.#loadedAt = now();
      // The colour changed while this code was on its way: it may be of the old one.
      if (this.#urgent) return 0;
      this.#held = { text: code, expiresAt: Date.parse(expires_at) };
    } catch (error) {
      this.#urgent ||= urgent;
      this.#outdated = true;
      throw error;
    }
    this.#listener.changed();
    return this.#dueAt() - now();
  }
}
