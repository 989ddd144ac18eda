import { request, Unreachable, type Call } from "./api.ts";

/** A server-sent event (HTML, section 9.2); what it has not is empty. */
export interface ServerSent {
  event: string;
  id: string;
  data: string;
}

export interface Following extends Call {
  signal: AbortSignal;
  /** Silence for so long is as good as an end. */
  silenceMs: number;
  told: (event: ServerSent) => void;
}

const RETRY_MS = 3_000;

/**
 * Follows a stream to its end, however it ends; answers after how many ms the server wants it opened again. `EventSource`
 * would put the token into the URL. Throws when nothing was told.
 */
export async function follow(path: string, options: Following): Promise<number> {
  const { signal, silenceMs, told } = options;
  const silence = new AbortController();
  const hangUp = (): void => silence.abort();
  signal.addEventListener("abort", hangUp, { once: true });
  let timer = setTimeout(hangUp, silenceMs);
  let retryMs: number | null = null;
  try {
    const { body } = await request("GET", path, { ...options, accept: "text/event-stream" }, silence.signal);
    if (!body) throw new Unreachable("no stream");
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(hangUp, silenceMs);
      const whole = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = whole.pop() ?? "";
      for (const text of whole) {
        const fields = Object.fromEntries(text.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        if ("retry" in fields) retryMs = Number(fields["retry"]);
        // Nothing is told after the caller has hung up.
        if (!signal.aborted) told({ event: "", id: "", data: "", ...fields });
      }
    }
  } catch (cause) {
    if (retryMs === null) throw cause;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", hangUp);
    silence.abort();
  }
  return retryMs ?? RETRY_MS;
}
