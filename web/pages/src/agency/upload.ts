import { Refused, text, Unreachable } from "../shared/api.ts";
import type { Problem } from "../shared/types.ts";
import type { Row } from "./csv.ts";
import type { Rows } from "./file.ts";

export type Status = "accepted" | "duplicate" | "ignored" | "rejected";

/** What became of a row. */
export interface RowAnswer {
  row: number;
  id: string | null;
  status: Status;
  reason?: string;
  problem?: Problem;
}

/** A refusal in words, as far as there are any. */
export function refusal({ problem, status }: Refused): string {
  return problem === null ? `HTTP ${status}` : inWords(problem);
}

/** Every field at fault with what was expected there. */
function inWords(problem: Problem): string {
  const fields = problem.errors?.map(({ pointer, detail }) => (pointer === "" ? detail : `${pointer}: ${detail}`));
  return fields?.length ? fields.join("; ") : (problem.detail ?? problem.title);
}

/** Longer than the service takes at most for a request. */
export const TIMEOUT_MS = 130_000;

/** A row that was not accepted, and why. */
export interface Failed {
  line: number;
  id: string | null;
  text: string;
  why: string;
}

export interface Progress {
  done: number;
  total: number;
  counts: Record<Status, number>;
  /** While the service has to be waited for: it said so itself, or there is no answer of its own. */
  waiting: { seconds: number; busy: boolean } | null;
}

const BATCH_ROWS = 1_000;
const BATCH_CHARACTERS = 2_000_000;
/** A row whose outcome is not known is sent so often in all; each time changes nothing if it was taken. */
const TRIES = 5;

/** Sends a file in batches, one after the other, as fast as the service takes them. */
export class Upload {
  readonly #token: string;
  readonly #file: Rows;
  readonly #show: (progress: Progress) => void;
  readonly #abort = new AbortController();
  readonly failed: Failed[] = [];
  readonly #progress: Progress;

  constructor(token: string, file: Rows, show: (progress: Progress) => void) {
    this.#token = token;
    this.#file = file;
    this.#show = show;
    const counts = { accepted: 0, duplicate: 0, ignored: 0, rejected: 0 };
    this.#progress = { done: 0, total: file.rows.length, counts, waiting: null };
  }

  stop(): void {
    this.#abort.abort();
  }

  /** `why` is what is said of rows that were not sent. Resolves to whether all were; rejects when the token is not valid any more. */
  async run(why: string): Promise<boolean> {
    let at = 0;
    try {
      while (at < this.#file.rows.length) {
        this.#show(this.#progress);
        const batch = this.#batch(at);
        await this.#send(batch);
        at += batch.length;
      }
      return true;
    } catch (error) {
      const rest = this.#file.rows.slice(at);
      this.failed.push(...rest.map((row) => ({ line: row.line, id: null, text: row.text, why })));
      if (this.#abort.signal.aborted) return false;
      throw error;
    } finally {
      this.#progress.waiting = null;
      this.failed.sort((a, b) => a.line - b.line);
      this.#show(this.#progress);
    }
  }

  #batch(from: number): Row[] {
    let [to, characters] = [from, 0];
    const { rows } = this.#file;
    while (to < rows.length && to - from < BATCH_ROWS && (to === from || characters < BATCH_CHARACTERS)) {
      characters += rows[to]!.text.length;
      to += 1;
    }
    return rows.slice(from, to);
  }

  async #send(batch: Row[]): Promise<void> {
    let rows = batch;
    for (let tries = 1; rows.length > 0; tries += 1) {
      const answers = await this.#patiently(rows);
      const again: Row[] = [];
      answers.forEach((answer, at) => {
        const row = rows[at];
        if (row === undefined) return;
        if (answer.problem && answer.problem.status >= 500 && tries < TRIES) again.push(row);
        else this.#count(row, answer);
      });
      rows = again;
      if (rows.length > 0) await this.#wait(1_000 * tries, true);
    }
  }

  #count(row: Row, answer: RowAnswer): void {
    this.#progress.done += 1;
    this.#progress.counts[answer.status] += 1;
    if (!answer.problem) return;
    this.failed.push({ line: row.line, id: answer.id, text: row.text, why: inWords(answer.problem) });
  }

  /** Until the service takes the rows; each row has one answer, in their order. */
  async #patiently(rows: Row[]): Promise<RowAnswer[]> {
    const { header, contentType } = this.#file;
    const lines = rows.map((row) => row.text);
    const body = (header === null ? lines : [header, ...lines]).join("\n");
    for (let failures = 1; ; failures += 1) {
      try {
        const answer = await text("POST", "/v1/events", {
          bearer: this.#token,
          content: { type: contentType, text: body },
          signal: this.#abort.signal,
          timeoutMs: TIMEOUT_MS,
        });
        return answer.trimEnd().split("\n").map((line) => JSON.parse(line) as RowAnswer);
      } catch (error) {
        const passes = error instanceof Unreachable || (error instanceof Refused && error.passing);
        if (this.#abort.signal.aborted || !passes) throw error;
        const [asked, busy] = error instanceof Refused ? [error.retryAfterMs, error.busy] : [null, false];
        await this.#wait(asked ?? Math.min(30_000, 1_000 * 2 ** failures), busy);
      }
    }
  }

  async #wait(ms: number, busy: boolean): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until) {
      this.#progress.waiting = { seconds: Math.ceil((until - Date.now()) / 1_000), busy };
      this.#show(this.#progress);
      await new Promise((done) => setTimeout(done, Math.min(1_000, until - Date.now())));
      this.#abort.signal.throwIfAborted();
    }
    this.#progress.waiting = null;
  }
}
