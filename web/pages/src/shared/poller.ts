/** Repeated work with backoff. */
import { RefusedError } from "./api.ts";

export interface PollerListener {
  failed(error: unknown): void;
  sessionOver(): void;
  /** How long a run may wait at most when the page wakes: is seen again, or has a network again. 0 if not given. */
  wakeMs?(): number;
  /** How long to wait after a run without an answer; null, as if not given: some seconds. */
  retryMs?(): number | null;
}

/**
 * Runs `work` repeatedly, one run at a time; each run resolves to the milliseconds until the next. Pauses while the
 * page is hidden. A refusal's `Retry-After` binds `poke` too.
 */
export class Poller {
  readonly #work: () => Promise<number>;
  readonly #listener: PollerListener;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #runAgain = false;
  #stopped = false;
  #failures = 0;
  /** Earliest next run, by this device's clock. */
  #notBefore = 0;
  /** When the next run is due, by this device's clock. */
  #dueAt = 0;

  constructor(work: () => Promise<number>, listener: PollerListener) {
    this.#work = work;
    this.#listener = listener;
    document.addEventListener("visibilitychange", this.#pauseOrWake);
    window.addEventListener("online", this.#pauseOrWake);
    this.poke();
  }

  /** Runs as soon as the server allows; during a run, schedules one more after it. */
  poke(): void {
    if (this.#running) this.#runAgain = true;
    else this.#schedule(0);
  }

  /** Sets the delay of the next run. No effect during a run, whose result sets that delay. */
  defer(delayMs: number): void {
    if (!this.#running) this.#schedule(delayMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#pauseOrWake);
    window.removeEventListener("online", this.#pauseOrWake);
  }

  #pauseOrWake = (): void => {
    if (document.hidden) return clearTimeout(this.#timer);
    const wake = this.#listener.wakeMs?.() ?? 0;
    if (this.#running) return void (this.#runAgain ||= wake === 0);
    const due = this.#dueAt - Date.now();
    // A run that was due while the page slept may have been due on many phones.
    this.#schedule(due > 0 ? Math.min(due, wake) : wake);
  };

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    const wait = Math.max(delayMs, this.#notBefore - Date.now());
    this.#dueAt = Date.now() + wait;
    if (this.#stopped || document.hidden) return;
    this.#timer = setTimeout(() => void this.#run(), wait);
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#runAgain = false;
    let delay: number;
    try {
      delay = await this.#work();
      this.#failures = 0;
    } catch (error) {
      delay = this.#failed(error);
    }
    this.#running = false;
    this.#schedule(this.#runAgain ? 0 : delay);
  }

  #failed(error: unknown): number {
    if (this.#stopped) return 0;
    if (error instanceof RefusedError && error.sessionOver) {
      this.stop();
      this.#listener.sessionOver();
      return 0;
    }
    this.#failures += 1;
    // 1, 2, 4, 8 s with up to 20 % jitter, so that phones that failed together do not retry together.
    const usual = Math.min(8_000, 1_000 * 2 ** (this.#failures - 1)) * (1 + Math.random() / 5);
    const backoff = this.#listener.retryMs?.() ?? usual;
    const wait = error instanceof RefusedError ? (error.retryAfterMs ?? backoff) : backoff;
    if (error instanceof RefusedError) this.#notBefore = Date.now() + wait;
    this.#listener.failed(error);
    return wait;
  }
}
