import { call, get, Refused, secondsHeader } from "../shared/api.ts";
import { follow, type ServerSent } from "../shared/events.ts";
import { Poller } from "../shared/poller.ts";
import { now } from "../shared/time.ts";
import type { Code, Display, Told } from "../shared/types.ts";

export type Trouble = "offline" | "busy";

export interface Listener {
  changed(): void;
  sessionOver(): void;
}

const REFRESH_MS = 1_000;
// How long after a known transition the old segment may still be on the screen: what clocks and one request need.
const TRANSITION_GRACE_MS = 2_000;
const MAX_STALE_MS = 24 * 3_600_000;
// A stream tells something every 5 s or so. Who hears nothing asks, before what is shown counts as not live.
const ASK_AFTER_MS = 8_500;
const SILENCE_MS = 20_000;

/**
 * Keeps one citizen's display current: a stream tells when it is another; while there is none, the page asks again and
 * again, as often as the server allows.
 */
export class DisplayFollower {
  display: Display | null = null;
  /** Every event before this moment is in `display`; ms since 1970, server's clock. */
  asOf = NaN;
  trouble: Trouble | null = null;

  readonly #session: string;
  readonly #listener: Listener & { newVersion(colourChanged: boolean): void };
  readonly #asking: Poller;
  #listening: Poller | null = null;
  /** Ends the stream that is open. */
  #stream: AbortController | null = null;
  /** How many events streams have told, and whether one that is open has. */
  #told = 0;
  #hears = false;
  /** The moment of which the open stream told last. */
  #toldOf = NaN;
  #etag: string | null = null;
  /** When the request that was answered last was sent; what a stream told was not asked for. */
  #askedAt = -Infinity;
  #refreshMs = REFRESH_MS;
  #stopped = false;

  constructor(session: string, listener: Listener & { newVersion(colourChanged: boolean): void }) {
    this.#session = session;
    this.#listener = listener;
    this.#asking = new Poller(() => this.#ask(), {
      failed: (error) => {
        // A refusal of any kind is an answer: there is a connection.
        this.trouble = error instanceof Refused ? "busy" : "offline";
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
    });
    document.addEventListener("visibilitychange", this.#hide);
  }

  stop(): void {
    this.#stopped = true;
    this.#asking.stop();
    this.#listening?.stop();
    this.#stream?.abort();
    document.removeEventListener("visibilitychange", this.#hide);
  }

  /** The tag of what is shown: no answer may be of an older version. */
  get etag(): string | null {
    return this.#etag;
  }

  /** What is held is known to be no longer true, or too old to show; it must not be shown as anyone's colour. */
  superseded(): boolean {
    const next = this.#nextTransition();
    // An answer asked for after the transition stands, whatever this phone thinks the time is.
    const missed = this.#askedAt < next && next + TRANSITION_GRACE_MS <= now();
    return missed || this.asOf + MAX_STALE_MS <= now();
  }

  async #ask(): Promise<number> {
    const [askedAt, told] = [now(), this.#told];
    const { body, headers } = await call<Display>("GET", "/v1/display", { bearer: this.#session, etag: this.#etag });
    if (this.#stopped) return 0;
    this.trouble = null;
    this.#refreshMs = Math.max(REFRESH_MS, secondsHeader(headers, "yima-refresh-after") ?? 0);
    // What a stream has told meanwhile is no older than this answer, or will be followed by what is newer.
    if (told === this.#told) {
      this.#askedAt = askedAt;
      const asOf = Date.parse(headers.get("yima-as-of") ?? "");
      if (body) {
        this.#show(body, asOf, headers.get("etag"));
        // The stream speaks of what was shown before: the next one begins with what is shown now.
        this.#stream?.abort();
      } else {
        this.#prove(asOf);
        // The stream's node has lost touch and this answer's has not: the next stream may well be of that one.
        if (asOf - this.#toldOf > ASK_AFTER_MS) this.#stream?.abort();
      }
    }
    this.#listener.changed();
    const { sessionOver } = this.#listener;
    // Without a stream the page does as well, only less at once.
    this.#listening ??= new Poller(() => this.#listen(), { failed: () => undefined, sessionOver });
    return this.#delay();
  }

  async #listen(): Promise<number> {
    const stream = (this.#stream = new AbortController());
    try {
      return await follow("/v1/display/events", {
        bearer: this.#session,
        lastEventId: this.#etag,
        signal: stream.signal,
        silenceMs: SILENCE_MS,
        told: (event) => this.#hear(event),
      });
    } finally {
      this.#hears = false;
      this.#toldOf = NaN;
      this.#asking.defer(this.#delay());
    }
  }

  #hear({ event, id, data }: ServerSent): void {
    if (data === "") return;
    const { as_of, display } = JSON.parse(data) as Told;
    this.#told += 1;
    this.#hears = true;
    this.#toldOf = Date.parse(as_of);
    this.trouble = null;
    if (event === "display" && display) {
      this.#askedAt = -Infinity;
      this.#show(display, this.#toldOf, id);
    } else this.#prove(this.#toldOf);
    this.#listener.changed();
    // A node that tells of an old moment only is no reason not to ask, for another one may answer.
    if (now() - this.#toldOf < ASK_AFTER_MS) this.#asking.defer(this.#delay());
  }

  #show(display: Display, asOf: number, etag: string | null): void {
    const before = this.display;
    this.display = display;
    this.asOf = asOf;
    const fresh = etag === null || etag !== this.#etag;
    this.#etag = etag;
    if (fresh) this.#listener.newVersion(before !== null && before.colour.code !== display.colour.code);
  }

  /** Another node may have proved the same version less recently; what was proved once stays proved. */
  #prove(asOf: number): void {
    if (!(asOf <= this.asOf)) this.asOf = asOf;
  }

  /** Nobody looks: nothing has to be told. */
  #hide = (): void => {
    if (document.hidden) this.#stream?.abort();
  };

  /** The server may ask for fewer visits, but a transition is fetched when it comes; a stream tells it by itself. */
  #delay(): number {
    const toTransition = this.#nextTransition() - now();
    const usual = this.#hears ? ASK_AFTER_MS : this.#refreshMs;
    if (toTransition > 0) return Math.min(usual, toTransition + (this.#hears ? TRANSITION_GRACE_MS : 20));
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

/**
 * Keeps a signed code at hand that is not about to expire and says the same as the display, whose tag it sends along: so there is
 * none before the first display (`etag` is undefined), which says that there is a new version.
 */
export class CodeFollower {
  readonly #session: string;
  readonly #etag: () => string | null | undefined;
  readonly #listener: Listener;
  readonly #poller: Poller;
  #held: { text: string; expiresAt: number } | null = null;
  #loadedAt = -Infinity;
  #outdated = false;
  #urgent = false;

  constructor(session: string, etag: () => string | null | undefined, listener: Listener) {
    this.#session = session;
    this.#etag = etag;
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
    const [wait, etag] = [this.#dueAt() - now(), this.#etag()];
    if (wait > 0) return wait;
    if (etag === undefined) return RENEW_BEFORE_MS;
    const urgent = this.#urgent;
    this.#urgent = this.#outdated = false;
    try {
      const { code, expires_at } = await get<Code>("GET", "/v1/code", { bearer: this.#session, etag });
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
