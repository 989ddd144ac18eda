import { get } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import { lookup, t, type Word } from "../shared/i18n.ts";
import { dateTime } from "../shared/time.ts";
import type { Decision, History } from "../shared/types.ts";

let decisions: Decision[] | null = null;
let note: Word | null = null;

/** Asks when the section is opened, and not before: it is the first thing that a busy server refuses. */
export function offerHistory(session: () => string | null): void {
  const section = byId<HTMLDetailsElement>("history");
  section.addEventListener("toggle", () => {
    const mine = session();
    if (section.open && mine !== null) void load(mine);
  });
}

export function forgetHistory(): void {
  decisions = note = null;
  byId<HTMLDetailsElement>("history").open = false;
  drawHistory();
}

export function drawHistory(): void {
  const list = byId("decisions");
  if (note !== null || decisions === null) list.replaceChildren(make("li", "quiet", t(note ?? "waiting")));
  else if (decisions.length === 0) list.replaceChildren(make("li", "quiet", t("no_history")));
  else list.replaceChildren(...decisions.map(line));
}

async function load(session: string): Promise<void> {
  try {
    decisions = (await get<History>("GET", "/v1/history", { bearer: session })).decisions;
    note = null;
  } catch {
    decisions = null;
    note = "no_history_now";
  }
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
