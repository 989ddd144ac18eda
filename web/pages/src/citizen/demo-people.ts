/** The list of the demo's citizens. */
import { RefusedError } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import { lang, lookup, t, type Word } from "../shared/i18n.ts";
import { Poller } from "../shared/poller.ts";
import { lookupDemoPeople, signInDemo } from "../shared/session.ts";
import { shape } from "../shared/shapes.ts";
import { COLOURS, isOneOf, type DemoPerson, type NewSession } from "../shared/types.ts";

/** How often the list is renewed while it is on the screen: tests may change a person's colour. */
const RENEW_MS = 5_000;
/** Without a demo there is no list. */
const NO_DEMO_MS = 3_600_000;

let poller: Poller | null = null;
let drawn = "";
/** Draws the list once more, in the page's language. */
let redraw = (): void => undefined;

interface SignInListener {
  signedIn(session: NewSession): void;
  failed(reason: Word): void;
}

/** Lists the demo's citizens as they are now; a click signs in as one of them. Without a demo, shows the token form. */
export function showDemoPeople(listener: SignInListener): void {
  hideDemoPeople();
  const list = byId("demo-people");
  redraw = () => showNote(list, t("waiting"));
  redraw();
  const mine = new Poller(
    async () => {
      const people = await lookupDemoPeople();
      // A list that arrives after the sign-in is not drawn.
      if (poller === mine) {
        redraw = () => draw(list, people, listener);
        redraw();
      }
      return people === null ? NO_DEMO_MS : RENEW_MS;
    },
    {
      failed: (error) => {
        if (poller !== mine) return;
        redraw = () => showNote(list, t(error instanceof RefusedError ? "sign_in_busy" : "sign_in_offline"));
        redraw();
      },
      sessionOver: () => undefined,
    },
  );
  poller = mine;
}

export function redrawDemoPeople(): void {
  redraw();
}

export function hideDemoPeople(): void {
  poller?.stop();
  poller = null;
  drawn = "";
  redraw = () => undefined;
}

function showNote(list: HTMLElement, text: string): void {
  drawn = "";
  list.replaceChildren(make("p", "note", text));
}

/** Redraws only a list that differs, so that a focused or pressed button stays. */
function draw(list: HTMLElement, people: DemoPerson[] | null, listener: SignInListener): void {
  const key = lang() + JSON.stringify(people);
  if (key === drawn) return;
  drawn = key;
  byId("demo-intro").hidden = people === null;
  byId("no-demo").hidden = people !== null;
  list.replaceChildren(...(people ?? []).map((person) => button(person, list, listener)));
}

function button(person: DemoPerson, list: HTMLElement, listener: SignInListener): HTMLElement {
  const about = lookup("about", person.about) ?? person.about;
  const colour = isOneOf(COLOURS, person.about) ? person.about : "green";
  const element = make(
    "button",
    "person",
    shape(colour),
    make("span", "who", make("bdi", "", person.name), ` · ${about}`, make("small", "quiet", person.document_number)),
  );
  element.type = "button";
  element.dataset["person"] = String(person.person);
  element.dataset["about"] = person.about;
  element.dataset["colour"] = colour;
  element.addEventListener("click", async () => {
    const buttons = list.querySelectorAll("button");
    for (const other of buttons) other.disabled = true;
    try {
      listener.signedIn(await signInDemo({ role: "citizen", person: person.person }));
    } catch {
      listener.failed("sign_in_failed");
    } finally {
      for (const other of buttons) other.disabled = false;
    }
  });
  return element;
}
