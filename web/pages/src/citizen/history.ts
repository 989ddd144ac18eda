import { get } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import { lookup, t, type Word } from "../shared/i18n.ts";
import { dateTime } from "../shared/time.ts";
import type { Decision, History } from "../shared/types.ts";

let decisions: Decision[] | null = null;
let note: Word | null = null;
/** Raised by each request and by whatever makes its answer worthless: another version, another person, nobody. */
let turn = 0;

/** Whose history, and the tag of the display beside it: what is older than that is not wanted. */
export interface Asking {
  bearer: string;
  etag: string | null;
}

/** Asks when the section is opened, and not before: it is the first thing that a busy server refuses. */
export function offerHistory(asking: () => Asking | null): void {
  byId("history").addEventListener("toggle", () => void load(asking()));
}

/** What is held is not of this version: it is asked for again if somebody looks at it. */
export function renewHistory(asking: Asking): void {
  drop();
  void load(asking);
}

export function forgetHistory(): void {
  drop();
  byId<HTMLDetailsElement>("history").open = false;
}

function drop(): void {
  turn += 1;
  decisions = note = null;
  drawHistory();
}

export function drawHistory(): void {
  const list = byId("decisions");
  if (note !== null || decisions === null) list.replaceChildren(make("li", "quiet", t(note ?? "waiting")));
  else if (decisions.length === 0) list.replaceChildren(make("li", "quiet", t("no_history")));
  else list.replaceChildren(...decisions.map(line));
}

async function load(asking: Asking | null): Promise<void> {
  if (asking === null || !byId<HTMLDetailsElement>("history").open) return;
  const mine = ++turn;
  const answer = await get<History>("GET", "/v1/history", asking).catch(() => null);
  // Nobody's history is drawn on another's page.
  if (mine !== turn) return;
  decisions = answer?.decisions ?? null;
  note = answer === null ? "no_history_now" : null;
  drawHistory();
}

function line(decision: Decision): Node {
  const { colour, reason, words, agency, from, until, state } = decision;
  const head = make("strong", "", lookup("colour", colour) ?? colour, " · ", lookup("reason", reason) ?? words);
  const span = `${dateTime(from)} – ${until === null ? "" : dateTime(until)}`;
  const parts = [span, lookup("decision", state) ?? state, ...(agency === null ? [] : [agency])];
  const item = make("li", "", head, make("small", "quiet", parts.join(" · ")));
  item.dataset["state"] = state;
  return item;
}
