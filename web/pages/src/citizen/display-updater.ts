/** Keeps the citizen's display current. */
import { RefusedError, requestConditional, secondsHeader } from "../shared/api.ts";
import { Poller } from "../shared/poller.ts";
import { receiveEvents, type ServerSentEvent } from "../shared/server-sent-events.ts";
import { now } from "../shared/time.ts";
import type { Display, LiveDisplayEvent } from "../shared/types.ts";
import { by, isNotAGuardian, type Session } from "./presenter.ts";

/** Why the last poll failed: no connection, or a refusal. */
export type PollFailure = "offline" | "busy";

export interface UpdateListener {
  changed(): void;
  sessionOver(): void;
  /** The citizen may not show this person's code any more. */
  guardianshipOver(): void;
}

export interface DisplayListener extends UpdateListener {
  newVersion(colourChanged: boolean): void;
}

const POLL_MS = 1_000;
// How long the display may still show the old segment after a known transition: allows for clocks and one request.
const TRANSITION_GRACE_MS = 2_000;
const MAX_STALE_MS = 24 * 3_600_000;
// A live display sends an event within 60 s. After this silence the page polls, before the display counts as not live.
const POLL_AFTER_SILENCE_MS = 65_000;
const SILENCE_MS = 75_000;
/** An older display is not live while a live display is open. */
const LIVE_MS = 70_000;
/** Nor is this one without, unless the server has asked for rarer polls. */
const POLLED_LIVE_MS = 10_000;
/** The node of a live display has lost the feed if what it says just now is true of a moment so long ago. */
const LAG_MS = 8_500;
/** Beyond the time of the next poll: for its answer. */
const ANSWER_MS = 2_000;

/** Follows the live display (server-sent events). Without one, polls as often as the server allows. */
export class DisplayUpdater {
  display: Display | null = null;
  /** `display` includes every event before this moment; ms since 1970, server's clock. */
  asOf = NaN;
  failure: PollFailure | null = null;
  /** Whether another region has not been heard for a while: its newest events may be missing. */
  regionSilent = false;
  /** What the server leaves out because it is busy: 0 nothing, 8 all but scans. */
  level = 0;

  readonly #presenter: Session;
  readonly #listener: DisplayListener;
  readonly #poller: Poller;
  /** Reopens the live display; started after the first poll. */
  #subscriber: Poller | null = null;
  /** Closes the open live display. */
  #liveDisplay: AbortController | null = null;
  /** Number of events received by all live displays. */
  #eventCount = 0;
  /** Whether a live display is open, and its node follows the feed. */
  #isLive = false;
  /** `as_of` of the last event of the open live display. */
  #liveAsOf = NaN;
  #etag: string | null = null;
  /** When the poll was sent that confirmed `display`; -Infinity if the live display sent it. */
  #polledAt = -Infinity;
  #pollMs = POLL_MS;
  #stopped = false;

  constructor(presenter: Session, listener: DisplayListener) {
    this.#presenter = presenter;
    this.#listener = listener;
    this.#poller = new Poller(() => this.#poll(), {
      failed: (error) => {
        if (isNotAGuardian(error)) {
          this.stop();
          return listener.guardianshipOver();
        }
        // A refusal of any kind is an answer, so there is a connection.
        this.failure = error instanceof RefusedError ? "busy" : "offline";
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
      // After the live display has been tried.
      wakeMs: () => (this.#asksAtOnce() ? 0 : this.#pollMs + ANSWER_MS),
      retryMs: () => this.#retryMs(),
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

  /** The time to the next poll that the server has asked for last. */
  get paceMs(): number {
    return this.#pollMs;
  }

  /** A display that is older is marked as not live. */
  get liveMs(): number {
    return this.#isLive ? LIVE_MS : Math.max(POLLED_LIVE_MS, this.#pollMs + ANSWER_MS);
  }

  /** Asks now, for a person who sees that the display is not live and does not want to wait. */
  refresh(): void {
    if (this.failure !== null || this.#isOld()) this.#poller.poke();
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
    const { freshness } = this.#presenter;
    const isFirst = this.display === null && freshness !== undefined;
    const further: Record<string, string> = isFirst ? { "yima-at-least-as-fresh": freshness } : {};
    const options = { ...by(this.#presenter), etag: this.#etag, headers: further };
    const { body, headers } = await requestConditional<Display>("GET", "/v1/display", options);
    if (this.#stopped) return 0;
    this.failure = null;
    this.#pollMs = Math.max(POLL_MS, secondsHeader(headers, "yima-refresh-after") ?? 0);
    this.level = Number(headers.get("yima-level") ?? 0);
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
        if (asOf - this.#liveAsOf > LAG_MS) this.#liveDisplay?.abort();
      }
    }
    this.#listener.changed();
    const { sessionOver } = this.#listener;
    this.#subscriber ??= new Poller(() => this.#subscribe(), {
      // Not reported: the page polls instead, now if it has waited for this to wake. Without any answer a poll would
      // have none either.
      failed: (error) => {
        if (!(error instanceof RefusedError)) this.#poller.defer(this.#pollDelay(this.#pollMs + ANSWER_MS));
        else if (this.#isOld()) this.#poller.defer(0);
      },
      sessionOver,
      // The phones of a city wake together, at 08:00 or when their network comes back.
      wakeMs: () => Math.random() * this.#pollMs,
      retryMs: () => this.#retryMs(),
    });
    return this.#pollDelay();
  }

  async #subscribe(): Promise<number> {
    const liveDisplay = (this.#liveDisplay = new AbortController());
    try {
      const retryMs = await receiveEvents("/v1/display/events", {
        ...by(this.#presenter),
        lastEventId: this.#etag,
        signal: liveDisplay.signal,
        silenceMs: SILENCE_MS,
        onEvent: (event) => this.#receive(event),
      });
      this.#isLive = false;
      // The page polls if the next one does not open, or is far away. Without a network it learns that at once.
      const isSoon = retryMs <= 2 * this.#pollMs + 1_000;
      const usual = isSoon ? retryMs + ANSWER_MS : this.#pollMs;
      this.#poller.defer(navigator.onLine ? this.#pollDelay(usual) : 0);
      return retryMs;
    } finally {
      this.#isLive = false;
      this.#liveAsOf = NaN;
    }
  }

  #receive({ event, id, data }: ServerSentEvent): void {
    if (data === "") return;
    const { as_of, display, silent_regions } = JSON.parse(data) as LiveDisplayEvent;
    this.regionSilent = silent_regions !== undefined;
    this.#eventCount += 1;
    // From level 1 on there are no live displays.
    this.level = 0;
    this.#liveAsOf = Date.parse(as_of);
    this.#isLive = now() - this.#liveAsOf < LAG_MS;
    this.failure = null;
    if (event === "display" && display) {
      this.#polledAt = -Infinity;
      this.#show(display, this.#liveAsOf, id);
    } else this.#confirm(this.#liveAsOf);
    this.#listener.changed();
    // Events with an old `as_of` do not defer the poll: another node may answer it with a newer one.
    if (this.#isLive) this.#poller.defer(this.#pollDelay());
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
  #pollDelay(usual = this.#isLive ? POLL_AFTER_SILENCE_MS : this.#pollMs): number {
    const toTransition = this.#nextTransition() - now();
    // A live display sends the transition itself.
    if (toTransition > 0) return Math.min(usual, toTransition + (this.#isLive ? TRANSITION_GRACE_MS : 20));
    // Shortly after a transition the server's clock may still be a little behind this one.
    return toTransition > -5_000 ? POLL_MS : usual;
  }

  /** The page has nothing to show until it has an answer. */
  #asksAtOnce(): boolean {
    return this.display === null || this.superseded();
  }

  #isOld(): boolean {
    return now() - this.asOf > this.liveMs;
  }

  #retryMs(): number | null {
    return this.#asksAtOnce() ? null : this.#pollMs;
  }

  #nextTransition(): number {
    return Date.parse(this.display?.next_transition_at ?? "");
  }
}
