/** Timers and a clock that tests move on. */

interface Timer {
  at: number;
  number: number;
  run: () => void;
}

const isEarlier = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.number < b.number);

/** In place of the process' timers and `Date.now`, from its making on. */
export class VirtualTime {
  now: number;
  /** A binary heap. */
  readonly #timers: Timer[] = [];
  readonly #cancelled = new Set<number>();
  #made = 0;

  constructor(start: number) {
    this.now = start;
    Date.now = () => this.now;
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms: number) => this.#set(run, ms),
      clearTimeout: (number: number | undefined) => void (number !== undefined && this.#cancelled.add(number)),
    });
  }

  /** Runs whatever is due within this time. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (let next = this.#timers[0]; next && next.at <= end; next = this.#timers[0]) {
      this.now = Math.max(this.now, next.at);
      while (this.#timers[0] && this.#timers[0].at <= this.now) this.#runFirst();
      await new Promise<void>((done) => setImmediate(done));
    }
    this.now = end;
  }

  #set(run: () => void, ms: number): number {
    const timer = { at: this.now + Math.max(0, ms || 0), number: ++this.#made, run };
    let at = this.#timers.push(timer) - 1;
    for (let up = (at - 1) >> 1; at > 0 && isEarlier(timer, this.#timers[up]!); up = (at - 1) >> 1) {
      this.#timers[at] = this.#timers[up]!;
      this.#timers[(at = up)] = timer;
    }
    return timer.number;
  }

  #runFirst(): void {
    const first = this.#timers[0]!;
    const last = this.#timers.pop()!;
    if (last !== first) this.#sinkFromTop(last);
    if (!this.#cancelled.delete(first.number)) first.run();
  }

  #sinkFromTop(timer: Timer): void {
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const [left, right] = [this.#timers[below], this.#timers[below + 1]];
      if (left && right && isEarlier(right, left)) below += 1;
      const least = this.#timers[below];
      if (!least || !isEarlier(least, timer)) break;
      this.#timers[at] = least;
      at = below;
    }
    this.#timers[at] = timer;
  }
}
