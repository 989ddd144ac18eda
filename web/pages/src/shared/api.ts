import { observeServerClock } from "./time.ts";
import type { Problem } from "./types.ts";

/** The server answered, but not with what was asked for. */
export class Refused extends Error {
  readonly status: number;
  /** From `Retry-After`; null when the server named no time. */
  readonly retryAfterMs: number | null;

  /** What the server said of it; null from a balancer, which has no problem documents. */
  readonly problem: Problem | null;

  constructor(status: number, retryAfterMs: number | null, problem: Problem | null) {
    super(`refused with ${status}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }

  get sessionOver(): boolean {
    return this.status === 401;
  }

  get busy(): boolean {
    return this.status === 429 || this.status === 503;
  }

  /** The same request may be taken later: the service is busy, or a balancer has nobody to ask. */
  get passing(): boolean {
    return this.busy || this.status === 502 || this.status === 504;
  }
}

/** No answer came, or it broke off: network, time-out, or not the JSON it claimed to be. */
export class Unreachable extends Error {}

export interface Call {
  bearer?: string | undefined;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  content?: { type: string; text: string };
  etag?: string | null | undefined;
  /** The id of the last event that was told, of a stream. */
  lastEventId?: string | null | undefined;
  accept?: string;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

export interface Answer<T> {
  /** null: 304, what is held under the ETag is still right. */
  body: T | null;
  headers: Headers;
}

/**
 * One request, to the head of its answer. Tokens go in the header, never in the URL; the browser's cache is never asked. It
 * keeps nothing of a POST anyway, and `no-store` would send `Cache-Control: no-cache`, by which a scan asks past the
 * server's cache.
 */
export async function request(
  method: "GET" | "POST",
  path: string,
  options: Call,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers({ accept: options.accept ?? "application/json" });
  if (options.bearer) headers.set("authorization", `Bearer ${options.bearer}`);
  if (options.etag) headers.set("if-none-match", options.etag);
  if (options.lastEventId) headers.set("last-event-id", options.lastEventId);
  const cache = method === "POST" ? "default" : "no-store";
  const init: RequestInit = { method, headers, cache, credentials: "omit", redirect: "error", signal };
  if (options.body !== undefined) {
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(options.body);
  } else if (options.content) {
    headers.set("content-type", options.content.type);
    init.body = options.content.text;
  }
  const response = await fetch(path, init);
  observeServerClock(response.headers.get("date"));
  if (!response.ok && response.status !== 304) {
    throw new Refused(response.status, retryAfterMs(response.headers), await problem(response));
  }
  return response;
}

/** One request and its whole answer as JSON. */
export async function call<T>(method: "GET" | "POST", path: string, options: Call = {}): Promise<Answer<T>> {
  return whole(method, path, options, async (response) => {
    const body = response.status === 304 ? null : ((await response.json()) as T);
    return { body, headers: response.headers };
  });
}

/** One request and its whole answer as text. */
export async function text(method: "GET" | "POST", path: string, options: Call = {}): Promise<string> {
  return whole(method, path, options, (response) => response.text());
}

/** Like `call`, for answers that have a body. */
export async function get<T>(method: "GET" | "POST", path: string, options: Call = {}): Promise<T> {
  const { body } = await call<T>(method, path, options);
  if (body === null) throw new Unreachable("304 to an unconditional request");
  return body;
}

/** A header that holds whole seconds, in milliseconds. */
export function secondsHeader(headers: Headers, name: string): number | null {
  const value = headers.get(name);
  return value !== null && /^\d+$/.test(value) ? Number(value) * 1_000 : null;
}

function retryAfterMs(headers: Headers): number | null {
  const wait = secondsHeader(headers, "retry-after");
  return wait === null ? null : Math.min(Math.max(wait, 1_000), 300_000);
}

/** Runs a request until its answer was read, or the time is up. */
async function whole<T>(
  method: "GET" | "POST",
  path: string,
  options: Call,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  // AbortSignal.any is younger than many phones, so time-out and caller share one controller.
  const abort = new AbortController();
  const hangUp = (): void => abort.abort();
  const timer = setTimeout(hangUp, options.timeoutMs ?? 8_000);
  if (options.signal?.aborted) hangUp();
  options.signal?.addEventListener("abort", hangUp, { once: true });
  try {
    return await read(await request(method, path, options, abort.signal));
  } catch (cause) {
    throw cause instanceof Refused ? cause : new Unreachable("no answer", { cause });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", hangUp);
  }
}

async function problem(response: Response): Promise<Problem | null> {
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) return null;
  return (response.json() as Promise<Problem>).catch(() => null);
}
