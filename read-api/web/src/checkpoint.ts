import { listen } from "./checkpoint/input.ts";
import { Scanner, type Outcome } from "./checkpoint/scanner.ts";
import { draw, drawCountdown } from "./checkpoint/view.ts";
import { byId, say } from "./shared/dom.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { lookupDemoPeople, SessionStore, signInDemo } from "./shared/session.ts";
import { clockTime, now } from "./shared/time.ts";

const store = new SessionStore("checkpoint");
const input = byId<HTMLInputElement>("code-input");
let scanner: Scanner | null = null;
let outcome: Outcome = { kind: "idle" };
let notice: Word | null = null;

function start(session: string): void {
  scanner?.stop();
  notice = null;
  byId("sign-in").hidden = true;
  byId("scan").hidden = byId("sign-out").hidden = false;
  scanner = new Scanner(session, show, () => signOut("session_over"));
  redraw();
  input.focus();
}

function show(next: Outcome): void {
  outcome = next;
  draw(outcome);
}

function signOut(why: Word | null): void {
  scanner?.stop();
  scanner = null;
  store.forget();
  notice = why;
  show({ kind: "idle" });
  input.value = "";
  byId<HTMLFormElement>("document").reset();
  byId("scan").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  redraw();
  void offerDemo();
}

/** Without a demo the city's identity provider signs guards in, and there is nothing to click here. */
async function offerDemo(): Promise<void> {
  const demo = await lookupDemoPeople().then((people) => people !== null, () => true);
  byId("demo-sign-in").hidden = !demo;
  byId("no-demo").hidden = demo;
}

async function signInAsGuard(button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  try {
    const session = await signInDemo({ role: "checkpoint" });
    store.keep(session);
    start(session);
  } catch {
    notice = "sign_in_failed";
    redraw();
  } finally {
    button.disabled = false;
  }
}

function redraw(): void {
  say(byId("notice"), notice === null ? "" : t(notice));
  input.placeholder = t("code_input");
  draw(outcome);
}

function tick(): void {
  say(byId("clock"), clockTime(now()));
  drawCountdown(outcome);
  setTimeout(tick, 1_000 - (now() % 1_000));
}

startLanguage(byId("lang"), redraw);
listen(input, (code) => void scanner?.scan({ code }));
byId<HTMLFormElement>("document").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = byId<HTMLInputElement>("document-number");
  const document_type = byId<HTMLSelectElement>("document-type").value;
  void scanner?.scan({ document_type, document_number: number.value });
  // Nobody's number stays on the page.
  number.value = "";
});
byId("sign-out").addEventListener("click", () => signOut(null));
const guard = byId<HTMLButtonElement>("demo-guard");
guard.addEventListener("click", () => void signInAsGuard(guard));
const kept = store.lookup();
if (kept === null) signOut(null);
else start(kept);
tick();
