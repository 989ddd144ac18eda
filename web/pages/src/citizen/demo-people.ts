/** The list of the demo's citizens. */
import { byId, make } from "../shared/dom.ts";
import { lookup, t } from "../shared/i18n.ts";
import { lookupDemoPeople, signInDemo } from "../shared/session.ts";
import { shape } from "../shared/shapes.ts";
import type { DemoPerson } from "../shared/types.ts";

/** Raised by each call: an earlier list that arrives later is not drawn. */
let latestRequest = 0;

/** Lists the demo's citizens; a click signs in as one of them. Without a demo, shows the token form. */
export async function showDemoPeople(signedIn: (session: string) => void): Promise<void> {
  const list = byId("demo-people");
  const request = ++latestRequest;
  const showNote = (text: string): void => list.replaceChildren(make("p", "note", text));
  if (!list.hasChildNodes()) showNote(t("waiting"));
  try {
    const people = await lookupDemoPeople();
    if (request !== latestRequest) return;
    byId("demo-intro").hidden = people === null;
    byId("no-demo").hidden = people !== null;
    list.replaceChildren(...(people ?? []).map((person) => button(person, list, signedIn)));
  } catch {
    if (request !== latestRequest) return;
    showNote(`${t("stale_offline")} ${t("retrying")}`);
    setTimeout(() => request === latestRequest && void showDemoPeople(signedIn), 3_000);
  }
}

function button(person: DemoPerson, list: HTMLElement, signedIn: (session: string) => void): HTMLElement {
  const about = lookup("about", person.about) ?? person.about;
  const element = make(
    "button",
    "person",
    shape(lookup("colour", person.about) === null ? "person" : person.about),
    make("span", "who", make("bdi", "", person.name), ` · ${about}`, make("small", "quiet", person.document_number)),
  );
  element.type = "button";
  element.dataset["person"] = String(person.person);
  element.dataset["about"] = person.about;
  element.addEventListener("click", async () => {
    const buttons = list.querySelectorAll("button");
    for (const other of buttons) other.disabled = true;
    try {
      signedIn((await signInDemo({ role: "citizen", person: person.person })).session);
    } catch {
      byId("notice").textContent = t("sign_in_failed");
    } finally {
      for (const other of buttons) other.disabled = false;
    }
  });
  return element;
}
