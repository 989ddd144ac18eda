/** Sends a file in batches. */
import { RefusedError, requestText, UnreachableError } from "../shared/api.ts";
import { placeOf, ticketOf } from "../shared/line.ts";
import { countLineBreaks } from "./csv.ts";
import type { FileRow, ParsedFile } from "./parse-file.ts";
import { problemText, reasonText } from "./reason-text.ts";
import { matchAnswers, type RowAnswer, type RowStatus } from "./row-answer.ts";

/** Longer than the service's own limit for a request. */
export const TIMEOUT_MS = 130_000;

/** A row that was not accepted, or whose outcome is unknown. */
export interface FailedRow extends FileRow {
  id: string | null;
  status: Exclude<RowStatus, "accepted" | "duplicate"> | "not_sent" | "not_known";
  /** The reason in the page's language; "" if the service gave none. */
  why: () => string;
}

export interface Progress {
  done: number;
  total: number;
  counts: Record<RowStatus, number>;
  /** Set during a wait before a retry; `busy` if the service asked for it, false if it cannot be reached. */
  waiting: { seconds: number; busy: boolean; place: number | null } | null;
}

const BATCH_ROWS = 1_000;
const BATCH_CHARACTERS = 2_000_000;
/**
 * How often in all a row is sent that the service failed to process. Events are idempotent, so a repetition is safe.
 */
const MAX_ATTEMPTS = 5;

/** One batch at a time, as fast as the service accepts them. */
export class Upload {
  readonly failed: FailedRow[] = [];
  /** The rows that the service has: accepted now or before. */
  readonly stored: FileRow[] = [];
  readonly #token: string;
  readonly #file: ParsedFile;
  readonly #show: (progress: Progress) => void;
  readonly #controller = new AbortController();
  readonly #progress: Progress;
  /** The rows of the batch that have no final answer yet. */
  #unanswered: FileRow[] = [];
  /** Whether an earlier attempt may have stored unanswered rows. */
  #maybeStored = false;

  constructor(token: string, file: ParsedFile, show: (progress: Progress) => void) {
    this.#token = token;
    this.#file = file;
    this.#show = show;
    const counts = { accepted: 0, duplicate: 0, ignored: 0, rejected: 0 };
    this.#progress = { done: 0, total: file.rows.length, counts, waiting: null };
  }

  stop(): void {
    this.#controller.abort();
  }

  /**
   * Resolves to true when all rows are answered, to false when stopped. Rejects with a `RefusedError` or an
   * `AnswerMismatchError`.
   */
  async run(): Promise<boolean> {
    let sent = 0;
    try {
      while (sent < this.#file.rows.length) {
        this.#show(this.#progress);
        [this.#unanswered, this.#maybeStored] = [this.#batch(sent), false];
        sent += this.#unanswered.length;
        await this.#sendBatch();
      }
      return true;
    } catch (error) {
      // A refused request stored nothing. After any other failure the outcome is unknown.
      const notStored = error instanceof RefusedError && error.status < 500 && !this.#maybeStored;
      this.#fail(this.#unanswered, notStored ? "not_sent" : "not_known");
      this.#fail(this.#file.rows.slice(sent), "not_sent");
      if (this.#controller.signal.aborted) return false;
      throw error;
    } finally {
      this.#progress.waiting = null;
      this.failed.sort((a, b) => a.line - b.line);
      this.#show(this.#progress);
    }
  }

  #fail(rows: FileRow[], status: "not_sent" | "not_known"): void {
    for (const row of rows) this.failed.push({ ...row, id: null, status, why: () => "" });
  }

  #batch(start: number): FileRow[] {
    let [end, characters] = [start, 0];
    const { rows } = this.#file;
    while (end < rows.length && end - start < BATCH_ROWS && (end === start || characters < BATCH_CHARACTERS)) {
      characters += rows[end]!.text.length;
      end += 1;
    }
    return rows.slice(start, end);
  }

  async #sendBatch(): Promise<void> {
    for (let attempt = 1; this.#unanswered.length > 0; attempt += 1) {
      if (attempt > 1) await this.#wait(1_000 * (attempt - 1), true);
      const answered = await this.#sendWithBackoff(this.#unanswered);
      this.#unanswered = [];
      for (const [row, answer] of answered) {
        if (answer.problem && answer.problem.status >= 500 && attempt < MAX_ATTEMPTS) this.#unanswered.push(row);
        else this.#count(row, answer);
      }
      this.#maybeStored = true;
    }
  }

  #count(row: FileRow, { id, status, problem, reason }: RowAnswer): void {
    this.#progress.done += 1;
    // After an internal error the outcome is unknown, except when the service refused the row for lack of disk space.
    if (problem && problem.status >= 500 && !problem.type.endsWith("/no-room")) {
      return void this.failed.push({ ...row, id, status: "not_known", why: () => problemText(problem) });
    }
    this.#progress.counts[status] += 1;
    if (status === "accepted" || status === "duplicate") return void this.stored.push(row);
    const why = (): string => (problem ? problemText(problem) : reason === undefined ? "" : reasonText(reason));
    this.failed.push({ ...row, id, status, why });
  }

  /** Retries until the service answers the rows or refuses the request for good. */
  async #sendWithBackoff(rows: FileRow[]): Promise<[FileRow, RowAnswer][]> {
    const { header, contentType } = this.#file;
    const lines = rows.map((row) => row.text);
    const body = (header === null ? lines : [header, ...lines]).join("\n");
    let ticket: Record<string, string> = {};
    for (let failures = 1; ; failures += 1) {
      try {
        const answer = await requestText("POST", "/v1/events", {
          bearer: this.#token,
          headers: ticket,
          content: { type: contentType, text: body },
          signal: this.#controller.signal,
          timeoutMs: TIMEOUT_MS,
        });
        return matchAnswers(rows, header === null ? 1 : countLineBreaks(header) + 2, answer);
      } catch (error) {
        const transient = error instanceof UnreachableError || (error instanceof RefusedError && error.transient);
        if (this.#controller.signal.aborted || !transient) throw error;
        const inLine = ticketOf(error);
        ticket = inLine ?? ticket;
        // Who is sent into the line was not read.
        this.#maybeStored ||= error instanceof UnreachableError || (error.status >= 500 && inLine === null);
        const [retryAfterMs, busy] = error instanceof RefusedError ? [error.retryAfterMs, error.busy] : [null, false];
        const place = error instanceof RefusedError ? placeOf(error) : null;
        await this.#wait(retryAfterMs ?? Math.min(30_000, 1_000 * 2 ** failures), busy, place);
      }
    }
  }

  async #wait(ms: number, busy: boolean, place: number | null = null): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until) {
      this.#progress.waiting = { seconds: Math.ceil((until - Date.now()) / 1_000), busy, place };
      this.#show(this.#progress);
      await new Promise((done) => setTimeout(done, Math.min(1_000, until - Date.now())));
      this.#controller.signal.throwIfAborted();
    }
    this.#progress.waiting = null;
  }
}
