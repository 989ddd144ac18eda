/** The people whose codes this phone shows, to switch between them. */
import { byId, make } from "../shared/dom.ts";
import type { Kept } from "./kept.ts";
import { t } from "./text.ts";

/** Names and numbers are masked. */
export function drawPeople(people: Kept[], current: string | null, choose: (kept: Kept) => void): void {
  // Who is not kept has at most wards here to switch to.
  byId("people").hidden = current === null && people.every(({ ward }) => ward === null);
  byId("people-list").replaceChildren(...people.map((kept) => entry(kept, kept.id === current, choose)));
  const others = people.filter((kept) => kept.id !== current);
  byId("kept-people").hidden = others.length === 0;
  byId("kept-list").replaceChildren(...others.map((kept) => entry(kept, false, choose)));
}

function entry(kept: Kept, isCurrent: boolean, choose: (kept: Kept) => void): Node {
  const { name, document } = kept.identity ?? { name: null, document: null };
  const number = make("small", "quiet", make("bdi", "", document ?? ""));
  const who = make("span", "who", make("bdi", "", name ?? t("no_name")), number);
  if (kept.ward !== null) number.append(" · ", t("people_ward"));
  if (isCurrent) return make("li", "here", who, make("span", "quiet", t("people_now")));
  const button = make("button", "person", who);
  button.type = "button";
  button.dataset["kept"] = kept.id;
  button.addEventListener("click", () => choose(kept));
  return make("li", "", button);
}
