import { offerCopy } from "./citizen/copy.ts";
import { CodeFollower, DisplayFollower } from "./citizen/follow.ts";
import { drawHistory, forgetHistory, offerHistory, renewHistory } from "./citizen/history.ts";
import { offerLargeType } from "./citizen/large.ts";
import { showDemoPeople } from "./citizen/people.ts";
import { clear, draw, hush } from "./citizen/view.ts";
import { byId, say } from "./shared/dom.ts";
import { startLanguage, t, type Word } from "./shared/i18n.ts";
import { SessionStore } from "./shared/session.ts";
import { now } from "./shared/time.ts";
import { forgetToken, takeSession } from "./shared/token.ts";

const store = new SessionStore("citizen");
let following: { session: string; display: DisplayFollower; code: CodeFollower } | null = null;
let notice: Word | null = null;

function show(session: string): void {
  stop();
  byId("sign-in").hidden = true;
  byId("health-code").hidden = byId("sign-out").hidden = false;
  document.body.dataset["screen"] = "code";
  offerCopy();
  const listener = { changed: redraw, sessionOver: () => signOut("session_over") };
  const code = new CodeFollower(session, () => (display.display ? display.etag : undefined), listener);
  const display: DisplayFollower = new DisplayFollower(session, {
    ...listener,
    newVersion: (colourChanged) => {
      code.newVersion(colourChanged);
      renewHistory({ bearer: session, etag: display.etag });
    },
  });
  following = { session, display, code };
  redraw();
}

function signOut(why: Word | null): void {
  stop();
  store.forget();
  notice = why;
  byId("health-code").hidden = byId("sign-out").hidden = true;
  delete document.body.dataset["screen"];
  byId("sign-in").hidden = false;
  redraw();
  byId("sign-in").focus();
  void showDemoPeople(signedIn);
}

function stop(): void {
  forgetToken();
  following?.display.stop();
  following?.code.stop();
  following = null;
  clear();
  forgetHistory();
}

function signedIn(session: string): void {
  store.keep(session);
  notice = null;
  show(session);
  // What had the focus is gone.
  byId("colour").focus();
}

function redraw(): void {
  say(byId("notice"), notice === null ? "" : t(notice));
  if (following) draw(following.display, following.code);
}

/** On the second, so that the clock never skips one. */
function tick(): void {
  if (!document.hidden) redraw();
  setTimeout(tick, 1_000 - (now() % 1_000));
}

takeSession("citizen", ({ session }) => signedIn(session), (why) => {
  notice = why;
  redraw();
});
offerHistory(() => following && { bearer: following.session, etag: following.display.etag });
offerLargeType(byId("large"));
startLanguage(byId("lang"), () => {
  hush();
  redraw();
  drawHistory();
  offerCopy();
  if (!following) void showDemoPeople(signedIn);
});
byId("print").addEventListener("click", () => window.print());
byId("sign-out").addEventListener("click", () => signOut(null));
// What is on the screen is from before the pause: say so before anything else.
document.addEventListener("visibilitychange", redraw);
const kept = store.lookup();
if (kept === null) signOut(null);
else show(kept);
tick();
