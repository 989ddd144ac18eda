/** The citizen's page: wires its parts together. */
import { CodeUpdater } from "./citizen/code-updater.ts";
import { setUpCopyButton } from "./citizen/copy-button.ts";
import { hideDemoPeople, redrawDemoPeople, showDemoPeople } from "./citizen/demo-people.ts";
import { DisplayUpdater } from "./citizen/display-updater.ts";
import { clearHistory, drawHistory, renewHistory, setUpHistory } from "./citizen/history.ts";
import { setUpLargeType } from "./citizen/large-type.ts";
import { clear, clearAnnouncement, draw } from "./citizen/view.ts";
import { RefusedError } from "./shared/api.ts";
import { byId, setText } from "./shared/dom.ts";
import { keepGuidance } from "./shared/guidance.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { endAllSessions, endSession, SessionStore } from "./shared/session.ts";
import { keepShell } from "./shared/shell.ts";
import { now } from "./shared/time.ts";
import { cancelExchange, onSession } from "./shared/token.ts";

const store = new SessionStore("citizen");
let updaters: { session: string; display: DisplayUpdater; code: CodeUpdater } | null = null;
let notice: Word | null = null;
let everywhereFailed = false;

function show(session: string): void {
  stop();
  hideDemoPeople();
  byId("sign-in").hidden = true;
  byId("health-code").hidden = byId("sign-out").hidden = false;
  document.body.dataset["screen"] = "code";
  setUpCopyButton();
  const listener = { changed: redraw, sessionOver: () => signOut("session_ended") };
  const code = new CodeUpdater(session, () => (display.display ? display.etag : undefined), listener);
  const display: DisplayUpdater = new DisplayUpdater(session, {
    ...listener,
    newVersion: (colourChanged) => {
      code.newVersion(colourChanged);
      keepGuidance(() => {
        redraw();
        drawHistory();
      });
      renewHistory({ bearer: session, etag: display.etag });
    },
  });
  updaters = { session, display, code };
  redraw();
}

function signOut(reason: Word | null): void {
  stop();
  store.clear();
  showSignIn(reason);
  // The element that had the focus is hidden.
  byId("sign-in").focus();
}

function showSignIn(reason: Word | null): void {
  notice = reason;
  byId("health-code").hidden = byId("sign-out").hidden = true;
  delete document.body.dataset["screen"];
  byId("sign-in").hidden = false;
  redraw();
  showDemoPeople({ signedIn, failed });
}

function stop(): void {
  cancelExchange();
  updaters?.display.stop();
  updaters?.code.stop();
  updaters = null;
  everywhereFailed = false;
  clear();
  clearHistory();
}

function signedIn(session: string): void {
  store.save(session);
  notice = null;
  show(session);
  // The element that had the focus is hidden.
  byId("colour").focus();
}

/** Why nobody was signed in. */
function failed(reason: Word): void {
  notice = reason;
  redraw();
}

function redraw(): void {
  setText(byId("notice"), notice === null ? "" : t(notice));
  setText(byId("everywhere-failed"), everywhereFailed ? t("everywhere_failed") : "");
  if (updaters) draw(updaters.display, updaters.code);
}

/** Stays signed in if the service does not end the sessions: they are valid then. */
async function signOutEverywhere(session: string): Promise<void> {
  const outcome = await endAllSessions(session).then(
    () => "everywhere_done" as const,
    (error: unknown) => (error instanceof RefusedError && error.sessionOver ? ("session_ended" as const) : null),
  );
  // Somebody else may have signed in meanwhile.
  if (updaters && updaters.session !== session) return;
  if (outcome !== null) return signOut(outcome);
  everywhereFailed = true;
  redraw();
}

/** Redraws at each full second, so that the clock skips none. */
function tick(): void {
  if (!document.hidden) redraw();
  setTimeout(tick, 1_000 - (now() % 1_000));
}

onSession("citizen", ({ session }) => signedIn(session), failed);
setUpHistory(() => updaters && { bearer: updaters.session, etag: updaters.display.etag });
setUpLargeType(byId("large"));
startLanguage(byId("lang"), () => {
  clearAnnouncement();
  redraw();
  drawHistory();
  setUpCopyButton();
  redrawDemoPeople();
});
byId("print").addEventListener("click", () => window.print());
byId("everywhere").addEventListener("click", () => updaters && void signOutEverywhere(updaters.session));
byId("sign-out").addEventListener("click", () => {
  const session = updaters?.session;
  signOut(null);
  if (session === undefined) return;
  endSession(session).catch(() => {
    if (updaters) return;
    notice = "sign_out_unsent";
    redraw();
  });
});
// The display on the screen is from before the pause: mark it as not live before anything else.
document.addEventListener("visibilitychange", redraw);
const stored = store.lookup();
if (stored === null) showSignIn(null);
else show(stored);
tick();
keepShell("/citizen-worker.js", "/");
