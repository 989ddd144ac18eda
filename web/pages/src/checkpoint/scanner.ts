import { get, Refused } from "../shared/api.ts";
import type { Scan } from "../shared/types.ts";

/** What the big panel says. Only `scan` is a verdict; nothing else may look like one. */
export type Outcome =
  | { kind: "idle" }
  | { kind: "waiting" }
  | { kind: "scan"; scan: Scan }
  | { kind: "unchecked"; why: "offline" | "refused" | "invalid" | "forbidden" }
  /** `often`: so many documents may not be looked up; codes may be scanned all the same. */
  | { kind: "unchecked"; why: "busy" | "often"; until: number };

/** A code, or the document of somebody who has none with them. */
export type Asked = { code: string } | { document_type: string; document_number: string };

// Long enough to deal with somebody, short enough that nobody else finds them on the screen.
const CLEAR_AFTER_MS = 45_000;
// A person stands there and waits: rather say "not checked" early.
const TIMEOUT_MS = 5_000;
const BUSY_MS = 1_000;

/** Checks codes, one at a time: a newer scan replaces the older, whose answer is never shown. Keeps nothing. */
export class Scanner {
  readonly #session: string;
  readonly #show: (outcome: Outcome) => void;
  readonly #sessionOver: () => void;
  #abort: AbortController | undefined;
  #clearAt = Infinity;
  /** Codes and documents have limits of their own. */
  readonly #refused: Record<"code" | "document", Extract<Outcome, { until: number }> | null> = { code: null, document: null };

  constructor(session: string, show: (outcome: Outcome) => void, sessionOver: () => void) {
    this.#session = session;
    this.#show = show;
    this.#sessionOver = sessionOver;
    show({ kind: "idle" });
  }

  async scan(asked: Asked): Promise<void> {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    // The last person's verdict is gone before this one's answer comes.
    this.#settle({ kind: "waiting" });
    const outcome = await this.#ask(asked, abort.signal);
    if (this.#abort === abort && outcome !== null) this.#settle(outcome);
  }

  /** To be called each second. No timer does this: it stands still while the machine sleeps. */
  expire(): void {
    if (Date.now() >= this.#clearAt) this.clear();
  }

  /** Nobody is on the screen, and an answer that is still to come never will be. */
  clear(): void {
    this.stop();
    this.#show({ kind: "idle" });
  }

  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    this.#clearAt = Infinity;
  }

  async #ask(asked: Asked, signal: AbortSignal): Promise<Outcome | null> {
    const kind = "code" in asked ? "code" : "document";
    const refused = this.#refused[kind];
    if (refused && Date.now() < refused.until) return refused;
    try {
      const scan = await get<Scan>("POST", "/v1/scan", {
        bearer: this.#session,
        body: asked,
        signal,
        timeoutMs: TIMEOUT_MS,
      });
      return isVerdict(scan.verdict) ? { kind: "scan", scan } : { kind: "unchecked", why: "refused" };
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof Refused)) return { kind: "unchecked", why: "offline" };
      if (error.sessionOver) {
        this.#sessionOver();
        return null;
      }
      if (!error.passing) return { kind: "unchecked", why: refusal(asked, error.status) };
      const why = kind === "document" && error.status === 429 ? "often" : "busy";
      return (this.#refused[kind] = { kind: "unchecked", why, until: Date.now() + (error.retryAfterMs ?? BUSY_MS) });
    }
  }

  #settle(outcome: Outcome): void {
    this.#clearAt = outcome.kind === "waiting" ? Infinity : Date.now() + CLEAR_AFTER_MS;
    this.#show(outcome);
  }
}

/** A guard can mend a document's number, and has to know what this post may not do. */
function refusal(asked: Asked, status: number): "invalid" | "forbidden" | "refused" {
  if ("code" in asked) return "refused";
  return status === 400 ? "invalid" : status === 403 ? "forbidden" : "refused";
}

function isVerdict(word: string): boolean {
  return word === "pass" || word === "check" || word === "stop";
}
