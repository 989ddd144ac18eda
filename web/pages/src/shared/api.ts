/** HTTP requests to the services. */
import { observeServerClock } from "./time.ts";
import type { Problem } from "./types.ts";

type Method = "GET" | "POST" | "DELETE";

/** The server answered with an error status. */
export class RefusedError extends Error {
  readonly status: number;
  /** From `Retry-After`; null when the server named no time. */
  readonly retryAfterMs: number | null;
  /** null if the response has no problem document, as one from a load balancer. */
  readonly problem: Problem | null;

  constructor(status: number, retryAfterMs: number | null, problem: Problem | null) {
    super(`refused with status ${status}`);
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

  /** A load balancer has no healthy backend. */
  get noBackend(): boolean {
    return this.status === 502 || this.status === 504;
  }

  /** The same request may succeed later. */
  get transient(): boolean {
    return this.busy || this.noBackend;
  }
}

/** No complete answer arrived: the network failed, the time-out passed, or the body is not valid JSON. */
export class UnreachableError extends Error {}

export interface RequestOptions {
  bearer?: string | undefined;
  /** Sends the browser's cookies; only the routes of the sign-in read one. */
  cookies?: boolean;
  /** The ward whose code the request is about; null: the bearer's own. */
  ward?: string | null | undefined;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent unchanged. */
  content?: { type: string; text: string };
  etag?: string | null | undefined;
  /** The id of the last server-sent event that the page received. */
  lastEventId?: string | null | undefined;
  accept?: string;
  /** Further headers. */
  headers?: Record<string, string>;
  /** The browser's cache; the default is given at `request`. */
  cache?: RequestCache;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

export interface ConditionalResponse<T> {
  /** null for a 304: the copy with the request's ETag is still current. */
  body: T | null;
  headers: Headers;
}

/**
 * Sends one request and resolves when the head of the response arrived. Tokens go into a header, never into the URL.
 * The browser's cache is bypassed: by `no-store` for a GET. A POST is never cached, and `no-store` would add
 * `Cache-Control: no-cache` to it, which makes a scan bypass the server's cache.
 */
export async function request(
  method: Method,
  path: string,
  options: RequestOptions,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers({ ...options.headers, accept: options.accept ?? "application/json" });
  if (options.bearer) headers.set("authorization", `Bearer ${options.bearer}`);
  if (options.ward) headers.set("yima-for", options.ward);
  if (options.etag) headers.set("if-none-match", options.etag);
  if (options.lastEventId) headers.set("last-event-id", options.lastEventId);
  const cache = options.cache ?? (method === "POST" ? "default" : "no-store");
  // The page may be closed right after a sign-out.
  const keepalive = method === "DELETE";
  const credentials = options.cookies ? "same-origin" : "omit";
  const init: RequestInit = { method, headers, cache, credentials, redirect: "error", signal, keepalive };
  if (options.body !== undefined) {
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(options.body);
  } else if (options.content) {
    headers.set("content-type", options.content.type);
    init.body = options.content.text;
  }
  const response = await fetch(path, init);
  // A cache may answer the same to everybody, with the time at which it was told.
  if (options.bearer || method === "POST") observeServerClock(response.headers.get("date"));
  if (!response.ok && response.status !== 304) {
    throw new RefusedError(response.status, retryAfterMs(response.headers), await readProblem(response));
  }
  return response;
}

/** Sends one request, conditional if `etag` is given, and reads the whole response as JSON. */
export async function requestConditional<T>(
  method: Method,
  path: string,
  options: RequestOptions = {},
): Promise<ConditionalResponse<T>> {
  return requestWhole(method, path, options, async (response) => {
    const body = response.status === 304 ? null : ((await response.json()) as T);
    return { body, headers: response.headers };
  });
}

/** Sends one request and reads the whole response as text. */
export async function requestText(method: Method, path: string, options: RequestOptions = {}): Promise<string> {
  return requestWhole(method, path, options, (response) => response.text());
}

/** Sends one request, conditional if `etag` is given, and reads the whole response as bytes. */
export async function requestBytes(
  path: string,
  options: RequestOptions = {},
): Promise<ConditionalResponse<Uint8Array<ArrayBuffer>>> {
  return requestWhole("GET", path, { ...options, accept: "*/*" }, async (response) => {
    const body = response.status === 304 ? null : new Uint8Array(await response.arrayBuffer());
    return { body, headers: response.headers };
  });
}

/** Sends one request and reads the JSON body, which must exist. */
export async function requestJson<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
  const { body } = await requestConditional<T>(method, path, options);
  if (body === null) throw new UnreachableError("304 in place of a body");
  return body;
}

/** A header of whole seconds, in milliseconds; null if absent or malformed. */
export function secondsHeader(headers: Headers, name: string): number | null {
  const value = headers.get(name);
  return value !== null && /^\d+$/.test(value) ? Number(value) * 1_000 : null;
}

function retryAfterMs(headers: Headers): number | null {
  const wait = secondsHeader(headers, "retry-after");
  return wait === null ? null : Math.min(Math.max(wait, 1_000), 300_000);
}

/** Runs one request until `read` has read the response, or the time-out passes. */
async function requestWhole<T>(
  method: Method,
  path: string,
  options: RequestOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  // Many phones lack AbortSignal.any, so the time-out and the caller's signal share one controller.
  const controller = new AbortController();
  const cancel = (): void => controller.abort();
  const timer = setTimeout(cancel, options.timeoutMs ?? 8_000);
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await read(await request(method, path, options, controller.signal));
  } catch (cause) {
    throw cause instanceof RefusedError ? cause : new UnreachableError("no complete answer", { cause });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
  }
}

/** Whether the service refused with a problem of this name. */
export function isProblem(error: unknown, name: string): boolean {
  return error instanceof RefusedError && error.problem?.type.endsWith(`/${name}`) === true;
}

async function readProblem(response: Response): Promise<Problem | null> {
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) return null;
  return (response.json() as Promise<Problem>).catch(() => null);
}
