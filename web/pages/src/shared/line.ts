/** Waiting in line: a request that more send than can be served is sent again, with its ticket, at its time. */
import { isProblem, RefusedError } from "./api.ts";
import { t } from "./i18n.ts";

/** A place in line; `place` is null while the line is full. */
export interface Place {
  place: number | null;
  seconds: number;
}

/** The header with the ticket of a refused request, none if the line is full; null if nobody waits in line. */
export function ticketOf(error: unknown): Record<string, string> | null {
  if (!isProblem(error, "waiting")) return null;
  const ticket = (error as RefusedError).problem?.waiting?.ticket;
  return ticket === undefined ? {} : { "yima-ticket": ticket };
}

/** The place of a refused request. */
export function placeOf({ problem }: RefusedError): number | null {
  return problem?.waiting?.place ?? null;
}

/**
 * Sends a request until it is let in; `show` is called each second of a wait, at its end with null. Rejects with the
 * refusal as soon as nobody waits for it any more (`isWanted`).
 */
export async function inLine<T>(
  send: (headers: Record<string, string>) => Promise<T>,
  show: (place: Place | null) => void,
  isWanted: () => boolean,
): Promise<T> {
  let headers: Record<string, string> = {};
  for (;;) {
    try {
      return await send(headers);
    } catch (error) {
      const ticket = ticketOf(error);
      if (ticket === null || !isWanted()) throw error;
      headers = ticket;
      const refused = error as RefusedError;
      const until = Date.now() + (refused.retryAfterMs ?? 5_000);
      while (Date.now() < until) {
        show({ place: placeOf(refused), seconds: Math.ceil((until - Date.now()) / 1_000) });
        await new Promise((done) => setTimeout(done, Math.min(1_000, until - Date.now())));
        if (!isWanted()) throw error;
      }
      show(null);
    }
  }
}

/** "Number 120 in line. Goes on by itself in 40 s." */
export function placeText({ place, seconds }: Place): string {
  return `${place === null ? t("line_full") : t("line_place", place)} ${t("line_wait", seconds)}`;
}
