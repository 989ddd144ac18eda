/** The codes of a phone with keys: made here from its tokens, which are renewed a few times a day. */
import { showCode, type ShowableToken } from "../code/show.ts";
import { readToken, type Claims } from "../code/token.ts";
import { decodeBase64Url } from "../shared/base64url.ts";
import { Poller } from "../shared/poller.ts";
import { now, serverClockOffset } from "../shared/time.ts";
import { failureOf, type Codes, type NoCode } from "./code-updater.ts";
import type { DisplayUpdater, UpdateListener } from "./display-updater.ts";
import { changeKept, findKept, type Batch, type Kept } from "./kept.ts";
import { exclusively } from "./locks.ts";
import { isLaxer, ownStatus, type OwnStatus } from "./own-status.ts";
import { fetchBatch, isUnknownPhone } from "./phones.ts";
import { isNotAGuardian, type Presenter } from "./presenter.ts";

const ROTATE_MS = 15_000;
/** An older code is not shown, such as one from before the phone slept. It counts for 60 s. */
const MAX_SHOWN_MS = 25_000;
const CLOCK_MS = 5_000;
/** Between two batches, unless the colour changed. */
const MIN_INTERVAL_MS = 10_000;
/** Until the first display arrives, which pokes. */
const WAIT_MS = 15_000;
/** In an emergency checkpoints accept codes that have ended, at most so long ago. */
const MAX_ENDED_MS = 24 * 3_600_000;
/** Timers take no longer time. */
const MAX_WAIT_MS = 3_600_000;

export interface PhoneListener extends UpdateListener {
  /** The service does not know this phone any more. */
  phoneEnded(): void;
  /** The browser has no room to replace tokens that permit too much. */
  noRoom(): void;
  /** Another tab has signed this person out. */
  forgotten(): void;
}

interface Token extends ShowableToken {
  claims: Claims;
}

export class PhoneCodes implements Codes {
  /** The last batch is in this page's memory alone. */
  unsaved = false;

  readonly #kept: Kept;
  readonly #presenter: Presenter;
  readonly #display: () => DisplayUpdater;
  readonly #listener: PhoneListener;
  readonly #poller: Poller;
  #batch: Batch | null = null;
  /** When the last batch was fetched that this page has used or dropped: it takes no earlier one from the storage. */
  #fetchedAt = 0;
  #tokens: Token[] = [];
  #code: { text: string; of: Token; at: number } | null = null;
  #isMaking = false;
  #showsEnded = false;
  #failure: NoCode | null = null;
  #stopped = false;

  constructor(kept: Kept, presenter: Presenter, display: () => DisplayUpdater, listener: PhoneListener) {
    this.#kept = kept;
    this.#presenter = presenter;
    this.#display = display;
    this.#listener = listener;
    try {
      this.#take(kept.batch);
    } catch {
      // Of another version of the page: a new batch is requested.
    }
    this.#poller = new Poller(() => this.#renew(), {
      failed: (error) => {
        if (isUnknownPhone(error) || isNotAGuardian(error)) {
          this.#poller.stop();
          return isUnknownPhone(error) ? listener.phoneEnded() : listener.guardianshipOver();
        }
        this.#failure = failureOf(error);
        listener.changed();
      },
      sessionOver: () => listener.sessionOver(),
      // New tokens are not urgent while there is one.
      wakeMs: () => (this.#inForce() ? Math.random() * display().paceMs : 0),
    });
  }

  /** The code of now, or why there is none. Makes a new one when it is time; then the page is redrawn. */
  current(): { text: string } | NoCode {
    const token = this.#inForce() ?? (this.#showsEnded ? this.#lastEnded() : null);
    if (token === null) return this.#whyNone();
    const age = this.#code?.of === token ? now() - this.#code.at : Infinity;
    // After a correction of the clock the age may be negative.
    if (age < 0 || age >= ROTATE_MS) void this.#make(token);
    return this.#code && age >= 0 && age < MAX_SHOWN_MS ? this.#code : (this.#failure ?? "loading");
  }

  /** Seconds until the next code; null while there is none. */
  nextInS(): number | null {
    return this.#code && Math.max(0, Math.ceil((this.#code.at + ROTATE_MS - now()) / 1_000));
  }

  /** What the token in force says; null without one. */
  status(): OwnStatus | null {
    const token = this.#inForce();
    const identity = this.#display().display?.identity ?? this.#kept.identity;
    return token && ownStatus(token.claims, identity, now());
  }

  /** The end of the last token, in ms since 1970; null without tokens. */
  get endsAt(): number | null {
    const last = this.#tokens.at(-1);
    return last ? last.claims.expiresAt * 1_000 : null;
  }

  /** The last token has ended, and may count in an emergency: whether it is shown; null if there is no such token. */
  get showsEnded(): boolean | null {
    return this.#inForce() === null && this.#lastEnded() !== null ? this.#showsEnded : null;
  }

  /** Goes on with the last token after its end, until there is another one. */
  showEnded(): void {
    this.#showsEnded = true;
    this.#listener.changed();
  }

  newVersion(): void {
    this.#dropLaxerTokens();
    this.#poller.poke();
  }

  stop(): void {
    this.#stopped = true;
    this.#poller.stop();
  }

  /**
   * Tokens that permit more than the newer display are dropped, here and in the storage: without a network they would
   * show the colour of before.
   */
  #dropLaxerTokens(): void {
    const [batch, token] = [this.#batch, this.#inForce()];
    if (batch && token && this.#isLaxerThanDisplay(token)) {
      this.#take(null);
      const isOlder = (stored: Batch | null): boolean => stored !== null && stored.fetchedAt <= batch.fetchedAt;
      changeKept(this.#kept.id, (kept) => (isOlder(kept.batch) ? { ...kept, batch: null } : kept)).catch(() =>
        this.#stopped ? undefined : this.#listener.noRoom(),
      );
    }
  }

  /** The keys of the batch before are dropped. Throws if a token cannot be read. */
  #take(batch: Batch | null): void {
    this.#batch = null;
    this.#showsEnded = false;
    this.#fetchedAt = batch?.fetchedAt ?? this.#fetchedAt;
    this.#tokens = (batch?.tokens ?? []).map(({ text, key, secret }) => {
      const token = decodeBase64Url(text);
      return { token, key, secret, claims: readToken(token).claims };
    });
    this.#batch = batch;
  }

  #inForce(): Token | null {
    const seconds = now() / 1_000;
    return this.#tokens.find(({ claims }) => claims.validFrom <= seconds && seconds < claims.expiresAt) ?? null;
  }

  #lastEnded(): Token | null {
    const [last, ago] = [this.#tokens.at(-1), now() - (this.endsAt ?? NaN)];
    return last && ago >= 0 && ago < MAX_ENDED_MS ? last : null;
  }

  #whyNone(): NoCode {
    const failure = this.#failure ?? this.#display().failure;
    const [first, endsAt] = [this.#tokens[0], this.endsAt];
    // A clock that is a few seconds slow is taken for the server's.
    if (first && now() + CLOCK_MS < first.claims.validFrom * 1_000) return "clock";
    if (failure === "offline" && endsAt !== null) return { endedAt: endsAt };
    return failure ?? "loading";
  }

  /** The display is newer, and permits less. */
  #isLaxerThanDisplay({ claims }: Token): boolean {
    const updater = this.#display();
    if (!updater.display || updater.superseded()) return false;
    const own = ownStatus(claims, null, now());
    return own.asOf < updater.asOf && isLaxer(own.colour, updater.display.colour.code);
  }

  async #make(token: Token): Promise<void> {
    if (this.#isMaking || this.#stopped) return;
    this.#isMaking = true;
    const at = now();
    try {
      this.#code = { text: await showCode(token, Math.floor(at / 1_000)), of: token, at };
    } catch {
      // A key that cannot sign is of no use, as one from a backup of another phone.
      this.#take(null);
      this.#poller.poke();
    }
    this.#isMaking = false;
    if (!this.#stopped) this.#listener.changed();
  }

  #dueAt(): number {
    const [batch, { display }] = [this.#batch, this.#display()];
    if (batch === null || this.#tokens.length === 0) return 0;
    if (!display || display.version === batch.version) return batch.refreshAt;
    // The coming colours of a restriction may have changed with it.
    if (this.status()?.colour !== "green" || display.colour.code !== "green") return 0;
    return Math.min(batch.refreshAt, batch.fetchedAt + MIN_INTERVAL_MS);
  }

  async #renew(): Promise<number> {
    const wait = this.#dueAt() - now();
    if (wait > 0) return Math.min(wait, MAX_WAIT_MS);
    if (this.#display().display === null) return WAIT_MS;
    const lock = `yima.citizen.tokens.${this.#kept.id}`;
    const batch = await exclusively(lock, () => this.#newerBatch());
    if (this.#stopped) return 0;
    if (batch === null) {
      this.#listener.forgotten();
      return MAX_WAIT_MS;
    }
    this.#failure = null;
    this.#take(batch);
    this.#dropLaxerTokens();
    this.#listener.changed();
    return Math.min(Math.max(0, this.#dueAt() - now()), MAX_WAIT_MS);
  }

  /** The batch that another tab has fetched meanwhile, or a new one; null if the person was signed out. */
  async #newerBatch(): Promise<Batch | null> {
    const stored = await findKept(this.#kept.id).catch(() => undefined);
    if (stored === null) return null;
    if (stored?.batch && stored.batch.fetchedAt > this.#fetchedAt) return stored.batch;
    const { display, etag } = this.#display();
    const version = display!.version;
    const batch = await fetchBatch(stored ?? this.#kept, this.#presenter, { etag, version, until: this.endsAt });
    const change = (kept: Kept): Kept => {
      return { ...kept, batch, freshness: null, identity: display!.identity, clockOffset: serverClockOffset() };
    };
    // A full disk: this page goes on, the next one begins with the tokens of before.
    this.unsaved = await changeKept(this.#kept.id, change).then(() => false, () => true);
    return batch;
  }
}
