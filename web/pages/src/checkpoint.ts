/** The checkpoint's page: wires its parts together. */
import { CameraPanel } from "./checkpoint/camera-panel.ts";
import { drawGuide, openGuide } from "./checkpoint/guide.ts";
import { listenForCodes } from "./checkpoint/input.ts";
import { drawOffline } from "./checkpoint/offline-banner.ts";
import { OfflineJudge } from "./checkpoint/offline.ts";
import { drawPost } from "./checkpoint/post.ts";
import { Scanner, type Outcome } from "./checkpoint/scanner.ts";
import { Signal } from "./checkpoint/signal.ts";
import type { Typed } from "./checkpoint/typed-code.ts";
import { draw, drawCountdown } from "./checkpoint/view.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { comesBack, connectRedirect, leaveProvider, lookupKeptSession, offerRedirect } from "./shared/redirect.ts";
import { lookupDemoPeople, SessionStore, signInDemo } from "./shared/session.ts";
import { keepShell } from "./shared/shell.ts";
import { clockTime, now } from "./shared/time.ts";
import { cancelExchange, onSession } from "./shared/token.ts";
import type { Checkpoint, NewSession } from "./shared/types.ts";

/** How long before its end the session's end is shown. */
const ENDING_MS = 15 * 60_000;

const store = new SessionStore("checkpoint");
const input = byId<HTMLInputElement>("code-input");
const documentForm = byId<HTMLFormElement>("document");
const documentNumber = byId<HTMLInputElement>("document-number");
const signal = new Signal();
const cameraPanel = new CameraPanel(scanCode);
const offline = new OfflineJudge(() => drawOffline(offline, outcome));
let scanner: Scanner | null = null;
let checkpoint: Checkpoint | null = null;
let endsAt = NaN;
let outcome: Outcome = { kind: "idle" };
let notice: Word | null = null;

/** `session`: empty without a network, when this tab has none: the first request of a network asks to sign in. */
function start(session: string, post = store.lookupCheckpoint()): void {
  cancelExchange();
  scanner?.stop();
  notice = null;
  checkpoint = post;
  endsAt = store.lookupEnd();
  byId("sign-in").hidden = true;
  byId("scan").hidden = byId("sign-out").hidden = false;
  byId("hint").hidden = false;
  byId("no-code").hidden = checkpoint?.looks_up_documents === false;
  offline.start(checkpoint);
  scanner = new Scanner(session, offline, show, () => signOut("session_over"));
  redraw();
  input.focus();
}

function show(next: Outcome): void {
  outcome = next;
  if (outcome.kind !== "idle") byId("hint").hidden = true;
  draw(outcome);
  drawOffline(offline, outcome);
  cameraPanel.outcomeChanged(outcome);
  signal.play(outcome);
}

function signOut(reason: Word | null): void {
  cancelExchange();
  scanner?.stop();
  scanner = null;
  checkpoint = null;
  endsAt = NaN;
  cameraPanel.close();
  store.clear();
  offline.stop();
  showSignIn(reason);
}

function showSignIn(reason: Word | null): void {
  notice = reason;
  show({ kind: "idle" });
  input.value = "";
  documentForm.reset();
  byId("scan").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  redraw();
  // The element that had the focus is hidden.
  byId("sign-in").focus();
  void offerDemo();
  void offerRedirect("checkpoint");
}

/** Whoever signed in at the provider's page in this browser, and whose session it keeps. */
async function showKeptSession(): Promise<void> {
  const session = await lookupKeptSession<NewSession>("checkpoint");
  // Without a network the page judges under no session.
  if (session && store.lookup() === null) signedIn(session);
}

/** Shows the demo's button, or the form for a token of the city's identity provider. */
async function offerDemo(): Promise<void> {
  const people = await lookupDemoPeople().catch(() => undefined);
  const post = people === undefined && !scanner ? await offline.lookupPost() : null;
  if (scanner) return;
  if (post) {
    // Nobody can sign in now, and judging without the service asks for no right.
    offline.unreachable();
    return start("", post);
  }
  byId("demo-sign-in").hidden = !people;
  byId("no-demo").hidden = people !== null;
  const unanswered = people === undefined;
  // The reason of a sign-out is not overwritten.
  if (notice === null || notice === "sign_in_offline") failed(unanswered ? "sign_in_offline" : null);
  if (unanswered) setTimeout(() => !scanner && void offerDemo(), 3_000);
}

function signedIn({ session, expires_at, checkpoint: of }: NewSession): void {
  store.save(session, Date.now() + Date.parse(expires_at) - now(), of);
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

/** A code begins another person: no document number of the one before stays on the page. */
function scanCode(code: string): void {
  documentNumber.value = "";
  void scanner?.scan({ code });
}

/** What a scanner or a hand has typed. */
function typed(what: Typed): void {
  switch (what.kind) {
    case "code":
      return scanCode(what.code);
    case "other":
      // The service says what it is not.
      return what.text === "" ? scanner?.clear() : scanCode(what.text);
    case "several":
    case "layout":
      return scanner?.unreadable(what.kind);
    case "document":
      if (checkpoint?.looks_up_documents === false) return scanner?.unreadable("forbidden");
      scanner?.unreadable("document");
      byId<HTMLDetailsElement>("no-code").open = true;
      documentNumber.value = what.number;
      if (what.number.length === 18) byId<HTMLSelectElement>("document-type").value = "cn_resident_id";
      documentNumber.focus();
  }
}

/** For the next person: nothing of the one before stays on the page. */
function nextPerson(): void {
  input.value = "";
  documentForm.reset();
  cameraPanel.next();
  scanner?.clear();
}

function redraw(): void {
  document.title = t("checkpoint");
  drawPost(checkpoint);
  drawGuide();
  setText(byId("notice"), notice === null ? "" : t(notice));
  input.placeholder = t("code_input");
  draw(outcome);
  drawOffline(offline, outcome);
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
  drawOffline(offline, outcome);
  // Without a network nobody could sign in again.
  if (Date.now() >= endsAt && !offline.isOffline) signOut("session_over");
  setTimeout(tick, 1_000 - (now() % 1_000));
}

startLanguage(byId("lang"), redraw);
listenForCodes(input, documentNumber, {
  typing: () => outcome.kind !== "reading" && scanner?.reading(),
  emptied: () => outcome.kind === "reading" && scanner?.clear(),
  typed,
});
// A document is the next person's as much as a code is.
documentNumber.addEventListener("input", () => !["idle", "reading"].includes(outcome.kind) && scanner?.clear());
documentForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const document_type = byId<HTMLSelectElement>("document-type").value;
  void scanner?.scan({ document_type, document_number: documentNumber.value });
  // No document number stays on the page.
  documentNumber.value = "";
  // A hand scanner types into the element with the focus, and the next person may have a code.
  input.focus({ preventScroll: true });
});
// A hidden page shows no person when it is visible again.
document.addEventListener("visibilitychange", () => document.hidden && scanner?.clear());
byId("sign-out").addEventListener("click", () => {
  const session = store.lookup();
  signOut(null);
  if (session) leaveProvider(session).catch(() => undefined);
});
byId("next").addEventListener("click", nextPerson);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  nextPerson();
  input.focus({ preventScroll: true });
});
byId("open-guide").addEventListener("click", openGuide);
const sound = byId("sound");
sound.addEventListener("click", () => {
  signal.muted = !signal.muted;
  sound.setAttribute("aria-pressed", String(!signal.muted));
});
for (const touch of ["click", "keydown"]) document.addEventListener(touch, () => signal.enableAudio());
onSession("checkpoint", signedIn, failed);
connectRedirect("checkpoint");
const guard = byId<HTMLButtonElement>("demo-guard");
guard.addEventListener("click", () => void signInAsGuard(guard));
const stored = store.lookup();
comesBack();
if (stored === null) {
  showSignIn(null);
  void showKeptSession();
} else start(stored);
tick();
keepShell("/checkpoint-worker.js", "/checkpoint");
