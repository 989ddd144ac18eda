/** The codes that the camera has in view. */

/** A code unread for this long has left the view; a shorter gap is a shaking hand. */
const GONE_AFTER_MS = 2_000;

/** Picks each code once while it stays in view. */
export class CodesInView {
  /** When each picked code was last read. */
  readonly #lastRead = new Map<string, number>();

  /** The code of this frame to scan now; null if there is no new one, or if not `ready` for one. */
  next(codes: string[], ready: boolean, now: number): string | null {
    for (const [code, at] of this.#lastRead) {
      if (now - at > GONE_AFTER_MS) this.#lastRead.delete(code);
    }
    const picked = ready ? (codes.find((code) => !this.#lastRead.has(code)) ?? null) : null;
    for (const code of codes) {
      if (code === picked || this.#lastRead.has(code)) this.#lastRead.set(code, now);
    }
    return picked;
  }

  /** Lets the codes in view be picked again. */
  clear(): void {
    this.#lastRead.clear();
  }
}
