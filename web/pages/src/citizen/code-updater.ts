/** Keeps the bare code current, of a phone without keys. */
import { RefusedError, requestJson } from "../shared/api.ts";
import { Poller } from "../shared/poller.ts";
import { now } from "../shared/time.ts";
import type { Code } from "../shared/types.ts";
import type { UpdateListener } from "./display-updater.ts";
import { by, isNotAGuardian, type Presenter } from "./presenter.ts";

/**
 * Why there is no code: none has come yet, the last one has expired, the status has changed, the phone's clock is before
 * all tokens, all tokens have ended, or why the last request failed.
 */
export type NoCode =
  | "loading"
  | "expired"
  | "updating"
  | "clock"
  | "offline"
  | "busy"
  | { endedAt: number }
  | { retryAt: number };

/** Where the codes on the screen come from. */
export interface Codes {
  /** The code, or why there is none. */
  current(): { text: string } | NoCode;
  /** The display has a new version. */
  newVersion(colourChanged: boolean): void;
  stop(): void;
}

const RENEW_BEFORE_MS = 15_000;
// The server allows 6 codes a minute.
const MIN_INTERVAL_MS = 10_000;

/**
 * Renews the code before it expires and at each new version of the display. Each request carries the display's ETag as
 * its floor, so the code is never of an older version. No code is requested before the first display (`etag` returns
 * undefined).
 */
export class CodeUpdater implements Codes {
  readonly #presenter: Presenter;
  readonly #etag: () => string | null | undefined;
  readonly #listener: UpdateListener;
  readonly #poller: Poller;
  #code: { text: string; expiresAt: number } | null = null;
  #loadedAt = -Infinity;
  #failure: NoCode | null = null;
  /** The display has a newer version than the code. */
  #outdated = false;
  /** The display has another colour than the code: the rate limit's interval is not awaited. */
  #urgent = false;

  constructor(presenter: Presenter, etag: () => string | null | undefined, listener: UpdateListener) {
    this.#presenter = presenter;
    this.#etag = etag;
    this.#listener = listener;
    this.#poller = new Poller(() => this.#update(), {
      failed: (error) => {
        if (isNotAGuardian(error)) {
          this.#poller.stop();
          return listener.guardianshipOver();
        }
        this.#failure = failureOf(error);
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
    });
  }

  current(): { text: string } | NoCode {
    if (this.#code && this.#code.expiresAt > now()) return this.#code;
    return this.#failure ?? (this.#code ? "expired" : "loading");
  }

  /** Requests a code of the new version. A code of another colour is withdrawn at once. */
  newVersion(colourChanged: boolean): void {
    this.#outdated = true;
    if (colourChanged) {
      this.#urgent = true;
      this.#code = null;
    }
    this.#poller.poke();
  }

  stop(): void {
    this.#poller.stop();
  }

  #dueAt(): number {
    if (this.#urgent || !this.#code) return 0;
    const renewAt = this.#code.expiresAt - RENEW_BEFORE_MS;
    return Math.max(this.#outdated ? 0 : renewAt, this.#loadedAt + MIN_INTERVAL_MS);
  }

  async #update(): Promise<number> {
    const [wait, etag] = [this.#dueAt() - now(), this.#etag()];
    if (wait > 0) return wait;
    if (etag === undefined) return RENEW_BEFORE_MS;
    const urgent = this.#urgent;
    this.#urgent = this.#outdated = false;
    try {
      const { code, expires_at } = await requestJson<Code>("GET", "/v1/code", { ...by(this.#presenter), etag });
      this.#loadedAt = now();
      this.#failure = null;
      // The colour changed during the request: this code may be of the old colour.
      if (this.#urgent) return 0;
      this.#code = { text: code, expiresAt: Date.parse(expires_at) };
    } catch (error) {
      this.#urgent ||= urgent;
      this.#outdated = true;
      throw error;
    }
    this.#listener.changed();
    return this.#dueAt() - now();
  }
}

export function failureOf(error: unknown): NoCode {
  if (!(error instanceof RefusedError)) return "offline";
  const { status, retryAfterMs } = error;
  return status === 429 && retryAfterMs !== null ? { retryAt: now() + retryAfterMs } : "busy";
}
