/** The checkpoint's page: wires its parts together. */
import { CameraPanel } from "./checkpoint/camera-panel.ts";
import { listenForCodes } from "./checkpoint/input.ts";
import { Scanner, type Outcome } from "./checkpoint/scanner.ts";
import { Signal } from "./checkpoint/signal.ts";
import { draw, drawCountdown } from "./checkpoint/view.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { lookupDemoPeople, SessionStore, signInDemo } from "./shared/session.ts";
import { clockTime, now } from "./shared/time.ts";
import { cancelExchange, onSession } from "./shared/token.ts";
import type { NewSession } from "./shared/types.ts";

/** How long before its end the session's end is shown. */
const ENDING_MS = 15 * 60_000;

const store = new SessionStore("checkpoint");
const input = byId<HTMLInputElement>("code-input");
const signal = new Signal();
const cameraPanel = new CameraPanel((code) => void scanner?.scan({ code }));
let scanner: Scanner | null = null;
let endsAt = NaN;
let outcome: Outcome = { kind: "idle" };
let notice: Word | null = null;

function start(session: string): void {
  cancelExchange();
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
  cameraPanel.outcomeChanged(outcome);
  signal.play(outcome);
}

function signOut(reason: Word | null): void {
  cancelExchange();
  scanner?.stop();
  scanner = null;
  endsAt = NaN;
  cameraPanel.close();
  store.clear();
  notice = reason;
  show({ kind: "idle" });
  input.value = "";
  byId<HTMLFormElement>("document").reset();
  byId("scan").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  redraw();
  // The element that had the focus is hidden.
  byId("sign-in").focus();
  void offerDemo();
}

/** Shows the demo's button, or the form for a token of the city's identity provider. */
async function offerDemo(): Promise<void> {
  const people = await lookupDemoPeople().catch(() => undefined);
  if (scanner) return;
  byId("demo-sign-in").hidden = !people;
  byId("no-demo").hidden = people !== null;
  const offline = people === undefined;
  // The reason of a sign-out is not overwritten.
  if (notice === null || notice === "sign_in_offline") failed(offline ? "sign_in_offline" : null);
  if (offline) setTimeout(() => !scanner && void offerDemo(), 3_000);
}

function signedIn({ session, expires_at }: NewSession): void {
  store.save(session, Date.now() + Date.parse(expires_at) - now());
  start(session);
}

function failed(reason: Word | null): void {
  notice = reason;
  redraw();
}

async function signInAsGuard(button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  await signInDemo({ role: "checkpoint" }).then(signedIn, () => failed("sign_in_failed"));
  button.disabled = false;
}

function redraw(): void {
  setText(byId("notice"), notice === null ? "" : t(notice));
  input.placeholder = t("code_input");
  draw(outcome);
  cameraPanel.draw();
  drawEnding();
}

function drawEnding(): void {
  const remaining = endsAt - Date.now();
  setText(byId("ending"), remaining < ENDING_MS ? t("session_ends", clockTime(now() + remaining)) : "");
}

function tick(): void {
  setText(byId("clock"), clockTime(now()));
  scanner?.expire();
  drawCountdown(outcome);
  drawEnding();
  if (Date.now() >= endsAt) signOut("session_over");
  setTimeout(tick, 1_000 - (now() % 1_000));
}

startLanguage(byId("lang"), redraw);
listenForCodes(input, (code) => void scanner?.scan({ code }));
byId<HTMLFormElement>("document").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = byId<HTMLInputElement>("document-number");
  const document_type = byId<HTMLSelectElement>("document-type").value;
  void scanner?.scan({ document_type, document_number: number.value });
  // No document number stays on the page.
  number.value = "";
  // A hand scanner types into the element with the focus, and the next person may have a code.
  input.focus({ preventScroll: true });
});
// A hidden page shows no person when it is visible again.
document.addEventListener("visibilitychange", () => document.hidden && scanner?.clear());
byId("sign-out").addEventListener("click", () => signOut(null));
byId("next").addEventListener("click", () => {
  cameraPanel.next();
  scanner?.clear();
});
const sound = byId("sound");
sound.addEventListener("click", () => {
  signal.muted = !signal.muted;
  sound.setAttribute("aria-pressed", String(!signal.muted));
});
for (const touch of ["click", "keydown"]) document.addEventListener(touch, () => signal.enableAudio());
onSession("checkpoint", signedIn, failed);
const guard = byId<HTMLButtonElement>("demo-guard");
guard.addEventListener("click", () => void signInAsGuard(guard));
const stored = store.lookup();
if (stored === null) signOut(null);
else start(stored);
tick();
