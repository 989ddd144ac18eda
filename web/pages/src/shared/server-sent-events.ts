/** A reader of server-sent events. `EventSource` cannot be used: it would put the token into the URL. */
import { request, UnreachableError, type RequestOptions } from "./api.ts";

/** A server-sent event (HTML, section 9.2); an absent field is "". */
export interface ServerSentEvent {
  event: string;
  id: string;
  data: string;
}

export interface ReceiveOptions extends RequestOptions {
  signal: AbortSignal;
  /** A connection without a byte for this long counts as closed. */
  silenceMs: number;
  onEvent: (event: ServerSentEvent) => void;
}

const DEFAULT_RETRY_MS = 3_000;

/**
 * Opens one connection and receives its events until it ends for any reason. Resolves to the milliseconds to wait before
 * the next connection; rejects if the connection failed before the server sent a `retry` field.
 */
export async function receiveEvents(path: string, options: ReceiveOptions): Promise<number> {
  const { signal, silenceMs, onEvent } = options;
  const controller = new AbortController();
  const cancel = (): void => controller.abort();
  signal.addEventListener("abort", cancel, { once: true });
  let timer = setTimeout(cancel, silenceMs);
  let retryMs: number | null = null;
  try {
    const { body } = await request("GET", path, { ...options, accept: "text/event-stream" }, controller.signal);
    if (!body) throw new UnreachableError("a response without a body");
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let incomplete = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(cancel, silenceMs);
      const events = (incomplete + decoder.decode(value, { stream: true })).split("\n\n");
      incomplete = events.pop() ?? "";
      for (const text of events) {
        const fields = Object.fromEntries(text.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        if ("retry" in fields) retryMs = Number(fields["retry"]);
        // No event is delivered after the caller aborted.
        if (!signal.aborted) onEvent({ event: "", id: "", data: "", ...fields });
      }
    }
  } catch (cause) {
    if (retryMs === null) throw cause;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
    controller.abort();
  }
  return retryMs ?? DEFAULT_RETRY_MS;
}
