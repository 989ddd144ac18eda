/** A code that was not read for so long has gone; a hand that shakes is not a new person. */
const GONE_MS = 2_000;

/** What the camera has in view: each code is to be checked once while it stays there. */
export class Sight {
  readonly #seen = new Map<string, number>();

  /** Of the codes of one frame the one to check now, if `ready` for one. */
  next(codes: string[], ready: boolean, now: number): string | null {
    for (const [code, at] of this.#seen) {
      if (now - at > GONE_MS) this.#seen.delete(code);
    }
    const fresh = ready ? (codes.find((code) => !this.#seen.has(code)) ?? null) : null;
    for (const code of codes) {
      if (code === fresh || this.#seen.has(code)) this.#seen.set(code, now);
    }
    return fresh;
  }

  /** What is in view may be checked again. */
  forget(): void {
    this.#seen.clear();
  }
}
