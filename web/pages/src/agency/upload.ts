import { Refused, text, Unreachable } from "../shared/api.ts";
import type { Problem } from "../shared/types.ts";
import { breaks, type Row } from "./csv.ts";
import type { Rows } from "./file.ts";

export type Status = "accepted" | "duplicate" | "ignored" | "rejected";

/** What became of a row. */
export interface RowAnswer {
  /** The line of what was sent that it begins on, from 1. */
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

/** A row that is not in force as it was sent. */
export interface Failed {
  line: number;
  id: string | null;
  text: string;
  status: "ignored" | "rejected" | "not_sent" | "not_known";
  /** In the service's words, if it said why. */
  why: string;
}

export interface Progress {
  done: number;
  total: number;
  counts: Record<Status, number>;
  /** While the service has to be waited for: it said so itself, or there is no answer of its own. */
  waiting: { seconds: number; busy: boolean } | null;
}

/** The answer is not one of the rows that were sent: which row it speaks of is not known. */
export class Unfitting extends Error {}

const BATCH_ROWS = 1_000;
const BATCH_CHARACTERS = 2_000_000;
/** A row whose outcome is not known is sent so often in all; each time changes nothing if it was taken. */
const TRIES = 5;

/** Sends a file in batches, one after the other, as fast as the service takes them. */
export class Upload {
  readonly failed: Failed[] = [];
  readonly #token: string;
  readonly #file: Rows;
  readonly #show: (progress: Progress) => void;
  readonly #abort = new AbortController();
  readonly #progress: Progress;
  /** Rows that were sent and not yet answered for, and whether an earlier try may have taken them. */
  #open: Row[] = [];
  #mayBeTaken = false;

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

  /** Resolves to whether all rows were answered for, false when it was stopped; rejects with `Refused` or `Unfitting`. */
  async run(): Promise<boolean> {
    let at = 0;
    try {
      while (at < this.#file.rows.length) {
        this.#show(this.#progress);
        [this.#open, this.#mayBeTaken] = [this.#batch(at), false];
        at += this.#open.length;
        await this.#send();
      }
      return true;
    } catch (error) {
      // What was refused as a whole was not taken; of all else that has no answer nobody knows.
      const notTaken = error instanceof Refused && error.status < 500 && !this.#mayBeTaken;
      this.#leave(this.#open, notTaken ? "not_sent" : "not_known");
      this.#leave(this.#file.rows.slice(at), "not_sent");
      if (this.#abort.signal.aborted) return false;
      throw error;
    } finally {
      this.#progress.waiting = null;
      this.failed.sort((a, b) => a.line - b.line);
      this.#show(this.#progress);
    }
  }

  #leave(rows: Row[], status: "not_sent" | "not_known"): void {
    for (const { line, text } of rows) this.failed.push({ line, id: null, text, status, why: "" });
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

  async #send(): Promise<void> {
    for (let tries = 1; this.#open.length > 0; tries += 1) {
      if (tries > 1) await this.#wait(1_000 * (tries - 1), true);
      const answered = await this.#patiently(this.#open);
      this.#open = [];
      for (const [row, answer] of answered) {
        if (answer.problem && answer.problem.status >= 500 && tries < TRIES) this.#open.push(row);
        else this.#count(row, answer);
      }
      this.#mayBeTaken = true;
    }
  }

  #count({ line, text }: Row, { id, status, problem, reason }: RowAnswer): void {
    this.#progress.done += 1;
    // Whoever fails cannot say what became of it, unless there was no room to begin with.
    if (problem && problem.status >= 500 && !problem.type.endsWith("/no-room")) {
      return void this.failed.push({ line, id, text, status: "not_known", why: inWords(problem) });
    }
    this.#progress.counts[status] += 1;
    if (status === "accepted" || status === "duplicate") return;
    this.failed.push({ line, id, text, status, why: problem ? inWords(problem) : (reason ?? "") });
  }

  /** Until the service takes the rows. */
  async #patiently(rows: Row[]): Promise<[Row, RowAnswer][]> {
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
        return match(rows, header === null ? 1 : breaks(header) + 2, answer);
      } catch (error) {
        const passes = error instanceof Unreachable || (error instanceof Refused && error.passing);
        if (this.#abort.signal.aborted || !passes) throw error;
        this.#mayBeTaken ||= error instanceof Unreachable || (error instanceof Refused && error.status >= 500);
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

/** Each row with its answer, by the line it began on; the first of them on `line`. */
function match(rows: Row[], line: number, text: string): [Row, RowAnswer][] {
  const answers = new Map(text.trimEnd().split("\n").map(readAnswer).map((answer) => [answer.row, answer]));
  if (answers.size !== rows.length) throw new Unfitting();
  return rows.map((row) => {
    const answer = answers.get(line);
    if (!answer) throw new Unfitting();
    line += breaks(row.text) + 1;
    return [row, answer];
  });
}

function readAnswer(line: string): RowAnswer {
  try {
    return JSON.parse(line) as RowAnswer;
  } catch (cause) {
    throw new Unfitting("no JSON", { cause });
  }
}
