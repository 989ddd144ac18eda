/** Keeps the citizen's display current. */
import { RefusedError, requestConditional, secondsHeader } from "../shared/api.ts";
import { Poller } from "../shared/poller.ts";
import { receiveEvents, type ServerSentEvent } from "../shared/server-sent-events.ts";
import { now } from "../shared/time.ts";
import type { Display, LiveDisplayEvent } from "../shared/types.ts";

/** Why the last poll failed: no connection, or a refusal. */
export type PollFailure = "offline" | "busy";

export interface UpdateListener {
  changed(): void;
  sessionOver(): void;
}

export interface DisplayListener extends UpdateListener {
  newVersion(colourChanged: boolean): void;
}

const POLL_MS = 1_000;
// How long the display may still show the old segment after a known transition: allows for clocks and one request.
const TRANSITION_GRACE_MS = 2_000;
const MAX_STALE_MS = 24 * 3_600_000;
// A live display sends an event about every 5 s. After this silence the page polls, before the display counts as not
// live.
const POLL_AFTER_SILENCE_MS = 8_500;
const SILENCE_MS = 20_000;

/** Follows the live display (server-sent events). Without one, polls as often as the server allows. */
export class DisplayUpdater {
  display: Display | null = null;
  /** `display` includes every event before this moment; ms since 1970, server's clock. */
  asOf = NaN;
  failure: PollFailure | null = null;
  /** Whether another region has not been heard for a while: its newest events may be missing. */
  regionSilent = false;

  readonly #session: string;
  readonly #listener: DisplayListener;
  readonly #poller: Poller;
  /** Reopens the live display; started after the first poll. */
  #subscriber: Poller | null = null;
  /** Closes the open live display. */
  #liveDisplay: AbortController | null = null;
  /** Number of events received by all live displays. */
  #eventCount = 0;
  /** Whether the open live display has sent an event. */
  #isLive = false;
  /** `as_of` of the last event of the open live display. */
  #liveAsOf = NaN;
  #etag: string | null = null;
  /** When the poll was sent that confirmed `display`; -Infinity if the live display sent it. */
  #polledAt = -Infinity;
  #pollMs = POLL_MS;
  #stopped = false;

  constructor(session: string, listener: DisplayListener) {
    this.#session = session;
    this.#listener = listener;
    this.#poller = new Poller(() => this.#poll(), {
      failed: (error) => {
        // A refusal of any kind is an answer, so there is a connection.
        this.failure = error instanceof RefusedError ? "busy" : "offline";
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
    });
    document.addEventListener("visibilitychange", this.#closeWhenHidden);
  }

  stop(): void {
    this.#stopped = true;
    this.#poller.stop();
    this.#subscriber?.stop();
    this.#liveDisplay?.abort();
    document.removeEventListener("visibilitychange", this.#closeWhenHidden);
  }

  /** The ETag of `display`. Sent as the floor of other requests, so that no answer is of an older version. */
  get etag(): string | null {
    return this.#etag;
  }

  /** A transition has made `display` outdated, or it is too old: its colour must not be shown. */
  superseded(): boolean {
    const transitionAt = this.#nextTransition();
    // A poll sent after the transition counts, whatever this phone's clock says.
    const missed = this.#polledAt < transitionAt && transitionAt + TRANSITION_GRACE_MS <= now();
    return missed || this.asOf + MAX_STALE_MS <= now();
  }

  async #poll(): Promise<number> {
    const [polledAt, eventCount] = [now(), this.#eventCount];
    const options = { bearer: this.#session, etag: this.#etag };
    const { body, headers } = await requestConditional<Display>("GET", "/v1/display", options);
    if (this.#stopped) return 0;
    this.failure = null;
    this.#pollMs = Math.max(POLL_MS, secondsHeader(headers, "yima-refresh-after") ?? 0);
    // An event received during the poll is no older than the answer, or a newer event will follow it.
    if (eventCount === this.#eventCount) {
      this.#polledAt = polledAt;
      const asOf = Date.parse(headers.get("yima-as-of") ?? "");
      this.regionSilent = headers.has("yima-silent-regions");
      if (body) {
        this.#show(body, asOf, headers.get("etag"));
        // The live display's events refer to the version before; the next live display starts from this one.
        this.#liveDisplay?.abort();
      } else {
        this.#confirm(asOf);
        // The live display's node has lost the feed and this answer's node has not. The next one may be of that node.
        if (asOf - this.#liveAsOf > POLL_AFTER_SILENCE_MS) this.#liveDisplay?.abort();
      }
    }
    this.#listener.changed();
    const { sessionOver } = this.#listener;
    // Failures of the live display are not reported: the page polls meanwhile.
    this.#subscriber ??= new Poller(() => this.#subscribe(), { failed: () => undefined, sessionOver });
    return this.#pollDelay();
  }

  async #subscribe(): Promise<number> {
    const liveDisplay = (this.#liveDisplay = new AbortController());
    let endedInOrder = false;
    try {
      const { retryMs, inOrder } = await receiveEvents("/v1/display/events", {
        bearer: this.#session,
        lastEventId: this.#etag,
        signal: liveDisplay.signal,
        silenceMs: SILENCE_MS,
        onEvent: (event) => this.#receive(event),
      });
      endedInOrder = inOrder;
      return retryMs;
    } finally {
      this.#isLive = false;
      this.#liveAsOf = NaN;
      // One that has reached its age is opened again before the page would poll.
      if (!endedInOrder) this.#poller.defer(this.#pollDelay());
    }
  }

  #receive({ event, id, data }: ServerSentEvent): void {
    if (data === "") return;
    const { as_of, display, silent_regions } = JSON.parse(data) as LiveDisplayEvent;
    this.regionSilent = silent_regions !== undefined;
    this.#eventCount += 1;
    this.#isLive = true;
    this.#liveAsOf = Date.parse(as_of);
    this.failure = null;
    if (event === "display" && display) {
      this.#polledAt = -Infinity;
      this.#show(display, this.#liveAsOf, id);
    } else this.#confirm(this.#liveAsOf);
    this.#listener.changed();
    // Events with an old `as_of` do not defer the poll: another node may answer it with a newer one.
    if (now() - this.#liveAsOf < POLL_AFTER_SILENCE_MS) this.#poller.defer(this.#pollDelay());
  }

  #show(display: Display, asOf: number, etag: string | null): void {
    const before = this.display;
    this.display = display;
    this.asOf = asOf;
    const isNew = etag === null || etag !== this.#etag;
    this.#etag = etag;
    if (isNew) this.#listener.newVersion(before !== null && before.colour.code !== display.colour.code);
  }

  /** Raises `asOf`. It never falls: another node may have confirmed the same version less recently. */
  #confirm(asOf: number): void {
    if (!(asOf <= this.asOf)) this.asOf = asOf;
  }

  /** A hidden page needs no live display. */
  #closeWhenHidden = (): void => {
    if (document.hidden) this.#liveDisplay?.abort();
  };

  /**
   * Milliseconds to the next poll. The server may ask for rarer polls, but each transition is fetched when it is due.
   */
  #pollDelay(): number {
    const toTransition = this.#nextTransition() - now();
    const usual = this.#isLive ? POLL_AFTER_SILENCE_MS : this.#pollMs;
    // A live display sends the transition itself.
    if (toTransition > 0) return Math.min(usual, toTransition + (this.#isLive ? TRANSITION_GRACE_MS : 20));
    // Shortly after a transition the server's clock may still be a little behind this one.
    return toTransition > -5_000 ? POLL_MS : usual;
  }

  #nextTransition(): number {
    return Date.parse(this.display?.next_transition_at ?? "");
  }
}
