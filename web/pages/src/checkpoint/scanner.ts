/** Checks codes and documents at the read API, and codes by itself while that does not answer. */
import { RefusedError, requestConditional } from "../shared/api.ts";
import { isOneOf, VERDICTS, type Scan } from "../shared/types.ts";
import type { OfflineJudge, OfflineOutcome } from "./offline.ts";

/** The state of the verdict panel. Only `scan` has a verdict; no other outcome may look like one. */
export type Outcome =
  | { kind: "idle" }
  /** A code is being typed. */
  | { kind: "reading" }
  | { kind: "waiting" }
  /** `level`: what the service leaves out (`Yima-Level`). */
  | { kind: "scan"; scan: Scan; level: number; offline?: undefined }
  | OfflineOutcome
  | { kind: "unchecked"; why: "offline" | "bundle_none" | "refused" | "invalid" | "forbidden" | Unreadable }
  | RateLimited;

/** Why nothing was sent: the input is not one code. */
export type Unreadable = "several" | "layout" | "document";

/** `often`: the rate limit of document lookups is reached; codes can still be scanned. */
type RateLimited = { kind: "unchecked"; why: "busy" | "often"; until: number };

/** A code; or an identity document, for a person without a code. */
export type ScanRequest = { code: string } | { document_type: string; document_number: string };

// Enough time to deal with one person, and little enough that the next one does not see the outcome.
const CLEAR_AFTER_MS = 45_000;
// A person is waiting: an early verdict without the service is better than a late answer.
const TIMEOUT_MS = 3_000;
const BUSY_MS = 1_000;

/** One scan at a time: a newer scan cancels the older one. Stores no outcome. */
export class Scanner {
  readonly #session: string;
  readonly #offline: OfflineJudge;
  readonly #show: (outcome: Outcome) => void;
  readonly #sessionOver: () => void;
  #running: AbortController | undefined;
  #clearAt = Infinity;
  /** The last transient refusal, per rate limit: no request is sent before it ends. */
  readonly #refusals: Record<"code" | "document", RateLimited | null> = { code: null, document: null };

  constructor(
    session: string,
    offline: OfflineJudge,
    show: (outcome: Outcome) => void,
    sessionOver: () => void,
  ) {
    this.#session = session;
    this.#offline = offline;
    this.#show = show;
    this.#sessionOver = sessionOver;
    show({ kind: "idle" });
  }

  async scan(request: ScanRequest): Promise<void> {
    this.#running?.abort();
    const controller = (this.#running = new AbortController());
    // The verdict on the person before leaves the screen before this one's arrives.
    this.#setOutcome({ kind: "waiting" });
    const outcome = await this.#request(request, controller.signal);
    if (this.#running === controller && outcome !== null) this.#setOutcome(outcome);
  }

  /** The next person's code begins: the verdict on the person before leaves the screen, and a running scan ends. */
  reading(): void {
    this.stop();
    this.#show({ kind: "reading" });
  }

  /** Shows why the input was not sent. */
  unreadable(why: Unreadable | "forbidden"): void {
    this.stop();
    this.#setOutcome({ kind: "unchecked", why });
  }

  /** Clears an old outcome. To be called each second: a timer would pause while the device sleeps. */
  expire(): void {
    if (Date.now() >= this.#clearAt) this.clear();
  }

  /** Shows no person, and cancels a running scan. */
  clear(): void {
    this.stop();
    this.#show({ kind: "idle" });
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#clearAt = Infinity;
  }

  /** null if the scan was cancelled or the session is over. */
  async #request(request: ScanRequest, signal: AbortSignal): Promise<Outcome | null> {
    const kind = "code" in request ? "code" : "document";
    const judged = "code" in request && this.#offline.isOffline ? await this.#offline.judge(request.code) : null;
    if (judged) return judged;
    const refusal = this.#refusals[kind];
    if (refusal && Date.now() < refusal.until) return refusal;
    try {
      const { body: scan, headers } = await requestConditional<Scan>("POST", "/v1/scan", {
        bearer: this.#session,
        body: request,
        signal,
        timeoutMs: TIMEOUT_MS,
      });
      this.#offline.reachable();
      if (scan === null || !isOneOf(VERDICTS, scan.verdict)) return { kind: "unchecked", why: "refused" };
      return { kind: "scan", scan, level: Number(headers.get("yima-level") ?? 0) };
    } catch (error) {
      if (signal.aborted) return null;
      const isCode = "code" in request;
      if (!(error instanceof RefusedError) || (error.transient && error.status !== 429)) {
        this.#offline.unreachable();
        const judged = isCode ? await this.#offline.judge(request.code) : null;
        if (judged) return judged;
      }
      if (!(error instanceof RefusedError)) return { kind: "unchecked", why: isCode ? "bundle_none" : "offline" };
      if (error.sessionOver) {
        this.#sessionOver();
        return null;
      }
      if (!error.transient) return { kind: "unchecked", why: permanentRefusal(request, error.status) };
      const why = kind === "document" && error.status === 429 ? "often" : "busy";
      return (this.#refusals[kind] = { kind: "unchecked", why, until: Date.now() + (error.retryAfterMs ?? BUSY_MS) });
    }
  }

  #setOutcome(outcome: Outcome): void {
    this.#clearAt = outcome.kind === "waiting" ? Infinity : Date.now() + CLEAR_AFTER_MS;
    this.#show(outcome);
  }
}

/** For a document, distinguishes an error that the guard can correct (its number) from a missing right. */
function permanentRefusal(request: ScanRequest, status: number): "invalid" | "forbidden" | "refused" {
  if ("code" in request) return "refused";
  return status === 400 ? "invalid" : status === 403 ? "forbidden" : "refused";
}
