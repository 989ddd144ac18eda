import { Refused, Unreachable } from "../shared/api.ts";
import type { Row, Rows } from "./file.ts";

export type Status = "accepted" | "duplicate" | "ignored" | "rejected";

/** What became of a row. */
export interface RowAnswer {
  row: number;
  id: string | null;
  status: Status;
  reason?: string;
  problem?: Problem;
}

/** RFC 9457, as far as the page shows it. */
export interface Problem {
  status: number;
  title: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
}

/** A problem in words: every field at fault with what was expected there. */
export function inWords(problem: Problem): string {
  const fields = problem.errors?.map(({ pointer, detail }) => (pointer === "" ? detail : `${pointer}: ${detail}`));
  return fields?.length ? fields.join("; ") : (problem.detail ?? problem.title);
}

/** A refusal with its problem document. */
export class Rejected extends Refused {
  readonly problem: Problem;

  constructor(problem: Problem, retryAfterMs: number | null) {
    super(problem.status, retryAfterMs);
    this.problem = problem;
  }
}

const TIMEOUT_MS = 130_000;

/** `POST /v1/events`; the body of a 200. */
export async function post(token: string, contentType: string, body: string, signal?: AbortSignal): Promise<string> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const abort = new AbortController();
  for (const one of [signal, timeout]) one?.addEventListener("abort", () => abort.abort(), { once: true });
  try {
    const response = await fetch("/v1/events", {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": contentType },
      body,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: abort.signal,
    });
    const text = await response.text();
    if (response.ok) return text;
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    throw new Rejected(JSON.parse(text) as Problem, Number.isNaN(seconds) ? null : seconds * 1_000);
  } catch (cause) {
    throw cause instanceof Refused ? cause : new Unreachable("no answer", { cause });
  }
}

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
  /** In seconds, while the service has to be waited for. */
  waitingS: number | null;
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
    this.#progress = { done: 0, total: file.rows.length, counts, waitingS: null };
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
      this.#progress.waitingS = null;
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
      if (rows.length > 0) await this.#wait(1_000 * tries);
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
        const text = await post(this.#token, contentType, body, this.#abort.signal);
        return text.trimEnd().split("\n").map((line) => JSON.parse(line) as RowAnswer);
      } catch (error) {
        if (this.#abort.signal.aborted || (error instanceof Refused && !error.busy)) throw error;
        const patience = error instanceof Refused ? error.retryAfterMs : null;
        await this.#wait(patience ?? Math.min(30_000, 1_000 * 2 ** failures));
      }
    }
  }

  async #wait(ms: number): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until) {
      this.#progress.waitingS = Math.ceil((until - Date.now()) / 1_000);
      this.#show(this.#progress);
      await new Promise((done) => setTimeout(done, Math.min(1_000, until - Date.now())));
      this.#abort.signal.throwIfAborted();
    }
    this.#progress.waitingS = null;
  }
}
