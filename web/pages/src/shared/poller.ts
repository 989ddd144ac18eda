import { Refused } from "./api.ts";

export interface Reports {
  failed(error: unknown): void;
  sessionOver(): void;
}

/**
 * Runs `work` again and again, one run at a time; `work` says in how many milliseconds it wants to run next. Rests while
 * the page is hidden. A refusal's Retry-After is obeyed by `poke` too.
 */
export class Poller {
  readonly #work: () => Promise<number>;
  readonly #reports: Reports;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #again = false;
  #stopped = false;
  #failures = 0;
  #notBefore = 0;

  constructor(work: () => Promise<number>, reports: Reports) {
    this.#work = work;
    this.#reports = reports;
    document.addEventListener("visibilitychange", this.#wake);
    window.addEventListener("online", this.#wake);
    this.poke();
  }

  /** Runs as soon as the server allows; if a run is under way, once more after it. */
  poke(): void {
    if (this.#running) this.#again = true;
    else this.#schedule(0);
  }

  /** Puts the next run off, or forward; one that is under way says itself when the next is. */
  defer(delayMs: number): void {
    if (!this.#running) this.#schedule(delayMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#wake);
    window.removeEventListener("online", this.#wake);
  }

  #wake = (): void => {
    if (document.hidden) clearTimeout(this.#timer);
    else this.poke();
  };

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped || document.hidden) return;
    const wait = Math.max(delayMs, this.#notBefore - Date.now());
    this.#timer = setTimeout(() => void this.#run(), wait);
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#again = false;
    let delay: number;
    try {
      delay = await this.#work();
      this.#failures = 0;
    } catch (error) {
      delay = this.#failed(error);
    }
    this.#running = false;
    this.#schedule(this.#again ? 0 : delay);
  }

  #failed(error: unknown): number {
    if (this.#stopped) return 0;
    if (error instanceof Refused && error.sessionOver) {
      this.stop();
      this.#reports.sessionOver();
      return 0;
    }
    this.#failures += 1;
    // 1, 2, 4, 8 s, up to a fifth longer so that phones that failed together do not come back together.
    const backoff = Math.min(8_000, 1_000 * 2 ** (this.#failures - 1)) * (1 + Math.random() / 5);
    const wait = error instanceof Refused ? (error.retryAfterMs ?? backoff) : backoff;
    if (error instanceof Refused) this.#notBefore = Date.now() + wait;
    this.#reports.failed(error);
    return wait;
  }
}
