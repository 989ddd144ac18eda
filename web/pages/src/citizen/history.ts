/** The list of past and present decisions. */
import { requestJson } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import { agencyName, reasonName } from "../shared/guidance.ts";
import { lookup, t, type Word } from "../shared/i18n.ts";
import { dateTime } from "../shared/time.ts";
import type { Decision, History } from "../shared/types.ts";

let decisions: Decision[] | null = null;
let note: Word | null = null;
/** Raised by each request, new version, sign-in and sign-out: an answer to an earlier request is not drawn. */
let latestRequest = 0;

/** The session, and the display's ETag: the floor of the history's version. */
export interface HistoryRequest {
  bearer: string;
  etag: string | null;
}

/** Requests the history only when its section is opened: a busy server refuses history first. */
export function setUpHistory(current: () => HistoryRequest | null): void {
  byId("history").addEventListener("toggle", () => void fetchHistory(current()));
}

/** Drops the history of the version before; requests the new one if the section is open. */
export function renewHistory(request: HistoryRequest): void {
  drop();
  void fetchHistory(request);
}

export function clearHistory(): void {
  drop();
  byId<HTMLDetailsElement>("history").open = false;
}

function drop(): void {
  latestRequest += 1;
  decisions = note = null;
  drawHistory();
}

export function drawHistory(): void {
  const list = byId("decisions");
  if (note !== null || decisions === null) list.replaceChildren(make("li", "quiet", t(note ?? "waiting")));
  else if (decisions.length === 0) list.replaceChildren(make("li", "quiet", t("no_history")));
  else list.replaceChildren(...decisions.map(line));
}

async function fetchHistory(request: HistoryRequest | null): Promise<void> {
  if (request === null || !byId<HTMLDetailsElement>("history").open) return;
  const number = ++latestRequest;
  const answer = await requestJson<History>("GET", "/v1/history", request).catch(() => null);
  // A history must not appear on another citizen's page.
  if (number !== latestRequest) return;
  decisions = answer?.decisions ?? null;
  note = answer === null ? "no_history_now" : null;
  drawHistory();
}

function line(decision: Decision): Node {
  const { colour, reason, agency, from, until, state } = decision;
  const title = make("strong", "", lookup("colour", colour) ?? colour, " · ", reasonName(reason));
  const span = `${dateTime(from)} – ${until === null ? "" : dateTime(until)}`;
  const parts = [span, lookup("decision", state) ?? state, ...(agency === null ? [] : [agencyName(agency)])];
  const item = make("li", "", title, make("small", "quiet", parts.join(" · ")));
  item.dataset["state"] = state;
  return item;
}
