import { listen } from "./checkpoint/input.ts";
import { Lookout } from "./checkpoint/lookout.ts";
import { Scanner, type Outcome } from "./checkpoint/scanner.ts";
import { Signal } from "./checkpoint/signal.ts";
import { draw, drawCountdown } from "./checkpoint/view.ts";
import { byId, say } from "./shared/dom.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { lookupDemoPeople, SessionStore, signInDemo } from "./shared/session.ts";
import { clockTime, now } from "./shared/time.ts";
import { forgetToken, takeSession } from "./shared/token.ts";
import type { NewSession } from "./shared/types.ts";

/** A guard is told so long before the session ends. */
const ENDING_MS = 15 * 60_000;

const store = new SessionStore("checkpoint");
const input = byId<HTMLInputElement>("code-input");
const signal = new Signal();
const lookout = new Lookout((code) => void scanner?.scan({ code }));
let scanner: Scanner | null = null;
let endsAt = NaN;
let outcome: Outcome = { kind: "idle" };
let notice: Word | null = null;

function start(session: string): void {
  forgetToken();
  scanner?.stop();
  notice = null;
  endsAt = store.lookupEnd();
  byId("sign-in").hidden = true;
  byId("scan").hidden = byId("sign-out").hidden = false;
  scanner = new Scanner(session, show, () => signOut("session_over"));
  redraw();
  input.focus();
}

function show(next: Outcome): void {
  outcome = next;
  draw(outcome);
  lookout.follow(outcome);
  signal.give(outcome);
}

function signOut(why: Word | null): void {
  forgetToken();
  scanner?.stop();
  scanner = null;
  endsAt = NaN;
  lookout.close();
  store.forget();
  notice = why;
  show({ kind: "idle" });
  input.value = "";
  byId<HTMLFormElement>("document").reset();
  byId("scan").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  redraw();
  // What had the focus is gone.
  byId("sign-in").focus();
  void offerDemo();
}

/** Without a demo the city's identity provider signs guards in, and its token is asked for. */
async function offerDemo(): Promise<void> {
  const people = await lookupDemoPeople().catch(() => undefined);
  if (scanner) return;
  byId("demo-sign-in").hidden = !people;
  byId("no-demo").hidden = people !== null;
  const offline = people === undefined;
  // Why somebody was signed out is said before this.
  if (notice === null || notice === "sign_in_offline") failed(offline ? "sign_in_offline" : null);
  if (offline) setTimeout(() => !scanner && void offerDemo(), 3_000);
}

function signedIn({ session, expires_at }: NewSession): void {
  store.keep(session, Date.now() + Date.parse(expires_at) - now());
  start(session);
}

function failed(why: Word | null): void {
  notice = why;
  redraw();
}

async function signInAsGuard(button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  await signInDemo({ role: "checkpoint" }).then(signedIn, () => failed("sign_in_failed"));
  button.disabled = false;
}

function redraw(): void {
  say(byId("notice"), notice === null ? "" : t(notice));
  input.placeholder = t("code_input");
  draw(outcome);
  lookout.draw();
  drawEnding();
}

function drawEnding(): void {
  const left = endsAt - Date.now();
  say(byId("ending"), left < ENDING_MS ? t("session_ends", clockTime(now() + left)) : "");
}

function tick(): void {
  say(byId("clock"), clockTime(now()));
  scanner?.expire();
  drawCountdown(outcome);
  drawEnding();
  if (Date.now() >= endsAt) signOut("session_over");
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
  // A hand scanner types into what has the focus: the next person has a code.
  input.focus({ preventScroll: true });
});
// Who takes the screen up again finds nobody on it.
document.addEventListener("visibilitychange", () => document.hidden && scanner?.clear());
byId("sign-out").addEventListener("click", () => signOut(null));
byId("next").addEventListener("click", () => {
  lookout.next();
  scanner?.clear();
});
const sound = byId("sound");
sound.addEventListener("click", () => {
  signal.muted = !signal.muted;
  sound.setAttribute("aria-pressed", String(!signal.muted));
});
for (const touch of ["click", "keydown"]) document.addEventListener(touch, () => signal.wake());
takeSession("checkpoint", signedIn, failed);
const guard = byId<HTMLButtonElement>("demo-guard");
guard.addEventListener("click", () => void signInAsGuard(guard));
const kept = store.lookup();
if (kept === null) signOut(null);
else start(kept);
tick();
