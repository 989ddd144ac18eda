/** The citizen's page: wires its parts together. */
import { setUpCopyButton } from "./citizen/copy-button.ts";
import { hideDemoPeople, redrawDemoPeople, showDemoPeople } from "./citizen/demo-people.ts";
import { clearHistory, drawHistory, setUpHistory } from "./citizen/history.ts";
import { changeKept, forget, listKept, type Kept } from "./citizen/kept.ts";
import { setUpLargeType } from "./citizen/large-type.ts";
import { OnScreen } from "./citizen/on-screen.ts";
import { drawPeople } from "./citizen/people.ts";
import { drawPhoneCard, keepsNothing, setUpPhoneCard } from "./citizen/phone-card.ts";
import { clearPaper, drawPaper, setUpPaper } from "./citizen/paper.ts";
import { clearPhoneList, drawPhoneList, openPhoneList, setUpPhoneList } from "./citizen/phone-list.ts";
import { endPhone, isTooManyPhones } from "./citizen/phones.ts";
import { adopt, NotKeptError, register, type Session } from "./citizen/registration.ts";
import { t, type CitizenWord } from "./citizen/text.ts";
import { clear, clearAnnouncement } from "./citizen/view.ts";
import { keepScreenOn } from "./citizen/wake-lock.ts";
import { citizenWords } from "./citizen/words.ts";
import { RefusedError } from "./shared/api.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage } from "./shared/i18n.ts";
import { endAllSessions, endSession, SessionStore } from "./shared/session.ts";
import { keepShell } from "./shared/shell.ts";
import { assumeServerClockOffset, now } from "./shared/time.ts";
import { cancelExchange, onSession } from "./shared/token.ts";
import type { NewSession } from "./shared/types.ts";

/** Which of the people on this phone the tab shows. */
const PERSON = "yima.person";
/** Says to the other tabs that an entry was added (true) or removed. */
const tabs = new BroadcastChannel("yima.citizen");

const store = new SessionStore("citizen");
let shown: OnScreen | null = null;
/** Those with a session. */
let people: Kept[] = [];
let notice: CitizenWord | null = null;
let everywhereFailed = false;

function show(session: Session, kept: Kept | null): void {
  stop();
  hideDemoPeople();
  byId("sign-in").hidden = true;
  byId("health-code").hidden = byId("sign-out").hidden = false;
  document.body.dataset["screen"] = "code";
  setUpCopyButton();
  const person: OnScreen = new OnScreen(session, kept, {
    changed: redraw,
    sessionOver: () => void sessionOver(person),
    phoneEnded: () => void phoneEnded(person),
    forgotten: () => signOut(null),
  });
  shown = person;
  if (kept) useKept(person, kept);
  else sessionStorage.removeItem(PERSON);
  void refreshPeople();
  redraw();
}

function showKept(kept: Kept): void {
  show({ session: kept.session!, endsAt: kept.sessionEndsAt }, kept);
}

/** The entry has the session: the tab remembers only which entry. */
function useKept(person: OnScreen, { id }: Kept): void {
  if (shown === person) person.notice = null;
  store.remove();
  sessionStorage.setItem(PERSON, id);
  changeKept(id, (kept) => ({ ...kept, usedAt: Date.now() })).catch(() => undefined);
}

function signOut(reason: CitizenWord | null): void {
  stop();
  store.clear();
  showSignIn(reason);
  // The element that had the focus is hidden.
  byId("sign-in").focus();
}

function showSignIn(reason: CitizenWord | null): void {
  notice = reason;
  byId("health-code").hidden = byId("sign-out").hidden = true;
  delete document.body.dataset["screen"];
  byId("sign-in").hidden = false;
  void refreshPeople();
  redraw();
  showDemoPeople({ signedIn: (session) => void signedIn(session), failed });
}

function stop(): void {
  cancelExchange();
  shown?.stop();
  shown = null;
  everywhereFailed = false;
  keepScreenOn(false);
  clear();
  clearHistory();
  clearPhoneList();
  clearPaper();
}

async function signedIn({ session, expires_at }: NewSession): Promise<void> {
  const signedIn = { session, endsAt: Date.parse(expires_at) };
  const kept = await adopt(signedIn).catch(() => null);
  notice = null;
  if (kept) showKept(kept);
  else {
    store.save(session, Date.now() + signedIn.endsAt - now());
    show(signedIn, null);
  }
  // The element that had the focus is hidden.
  byId("colour").focus();
}

/** Why nobody was signed in. */
function failed(reason: CitizenWord): void {
  notice = reason;
  redraw();
}

/** Keeps the person on the screen on this phone. */
async function keepOnThisPhone(name: string): Promise<void> {
  const person = shown;
  const identity = person?.display.display?.identity;
  if (!person || !identity) return;
  try {
    const session = { session: person.session, endsAt: person.sessionEndsAt };
    const kept = await register(session, name, identity);
    tabs.postMessage({ id: kept.id, added: true });
    // Otherwise the browser may remove it when the disk is full.
    void navigator.storage?.persist?.().catch(() => undefined);
    if (shown !== person) return;
    if (kept.session !== person.session) return showKept(kept);
    person.useKeys(kept);
    useKept(person, kept);
    await refreshPeople();
  } catch (error) {
    if (shown !== person) return;
    if (error instanceof RefusedError && error.sessionOver) return sessionOver(person);
    if (error instanceof NotKeptError) keepsNothing();
    else person.notice = isTooManyPhones(error) ? "phone_full" : "phone_refused";
    if (isTooManyPhones(error)) openPhoneList();
  }
  redraw();
}

/** The phone's id stays, so that the person gets no second one here. */
async function sessionOver({ session, kept }: OnScreen): Promise<void> {
  signOut("session_ended");
  if (!kept) return;
  const end = (one: Kept): Kept =>
    one.session === session ? { ...one, session: null, freshness: null, identity: null, batch: null } : one;
  await changeKept(kept.id, end).catch(() => undefined);
  tabs.postMessage({ id: kept.id, added: false });
  await refreshPeople();
}

/** It was ended elsewhere. The person stays signed in, in this tab. */
async function phoneEnded(person: OnScreen): Promise<void> {
  const { kept, session, sessionEndsAt } = person;
  if (!kept || shown !== person) return;
  store.save(session, Date.now() + sessionEndsAt - now());
  sessionStorage.removeItem(PERSON);
  person.useKeys(null);
  person.notice = "phone_ended";
  redraw();
  await remove(kept.id);
}

async function remove(id: string): Promise<void> {
  await forget(id).catch(() => undefined);
  tabs.postMessage({ id, added: false });
  await refreshPeople();
}

async function refreshPeople(): Promise<void> {
  people = (await readPeople()).filter(({ session }) => session !== null);
  redrawPeople();
}

function readPeople(): Promise<Kept[]> {
  return listKept().catch(() => {
    keepsNothing();
    return [];
  });
}

function redrawPeople(): void {
  drawPeople(people, shown?.kept?.id ?? null, showKept);
}

function redraw(): void {
  setText(byId("notice"), notice === null ? "" : t(notice));
  setText(byId("everywhere-failed"), everywhereFailed ? t("everywhere_failed") : "");
  if (!shown) return;
  const code = shown.draw();
  keepScreenOn(typeof code === "object" && "text" in code);
  drawPhoneCard(shown);
}

/** Stays signed in if the service does not end the sessions: they are valid then. */
async function signOutEverywhere(person: OnScreen): Promise<void> {
  const outcome = await endAllSessions(person.session).then(
    () => "everywhere_done" as const,
    (error: unknown) => (error instanceof RefusedError && error.sessionOver ? ("session_ended" as const) : null),
  );
  if (outcome !== null && person.kept) void remove(person.kept.id);
  // Somebody else may have signed in meanwhile.
  if (shown && shown !== person) return;
  if (outcome !== null) return signOut(outcome);
  everywhereFailed = true;
  redraw();
}

/** Ends phone and session at the service, and removes the keys. */
async function signOutHere({ kept, session }: OnScreen): Promise<void> {
  const removed = kept && remove(kept.id);
  if (kept) await endPhone(session, kept.phone);
  await endSession(session);
  await removed;
}

/** Redraws at each full second, so that the clock skips none. */
function tick(): void {
  if (!document.hidden) redraw();
  setTimeout(tick, 1_000 - (now() % 1_000));
}

async function start(): Promise<void> {
  const stored = store.lookup();
  if (stored !== null) return show({ session: stored, endsAt: now() + store.lookupEnd() - Date.now() }, null);
  people = (await readPeople()).filter(({ session }) => session !== null);
  const kept = people.find(({ id }) => id === sessionStorage.getItem(PERSON)) ?? people[0];
  if (!kept) return showSignIn(null);
  assumeServerClockOffset(kept.clockOffset);
  showKept(kept);
}

onSession("citizen", (session) => void signedIn(session), failed);
setUpHistory(() => shown && { bearer: shown.session, etag: shown.display.etag });
setUpPhoneCard(keepOnThisPhone);
setUpPhoneList(() => shown && { session: shown.session, phone: shown.kept?.phone ?? null });
setUpPaper(() => shown?.session ?? null);
setUpLargeType(byId("large"));
startLanguage(
  byId("lang"),
  () => {
    clearAnnouncement();
    redraw();
    drawHistory();
    setUpCopyButton();
    redrawDemoPeople();
    drawPhoneList();
    drawPaper();
    redrawPeople();
  },
  citizenWords,
);
byId("print").addEventListener("click", () => window.print());
byId("everywhere").addEventListener("click", () => shown && void signOutEverywhere(shown));
byId("sign-out").addEventListener("click", () => {
  const person = shown;
  signOut(null);
  if (!person) return;
  signOutHere(person).catch(() => {
    if (shown) return;
    notice = "sign_out_unsent";
    redraw();
  });
});
byId("add-person").addEventListener("click", () => {
  stop();
  showSignIn(null);
  byId("sign-in").focus();
});
tabs.addEventListener("message", ({ data }: MessageEvent<{ id: string; added: boolean }>) => {
  const person = shown;
  if (!data.added && person?.kept?.id === data.id) return signOut(null);
  void refreshPeople();
  if (!data.added || !person || person.kept) return;
  // Perhaps this tab's person, whom another tab has kept.
  adopt({ session: person.session, endsAt: person.sessionEndsAt }).then(
    (kept) => kept && shown === person && showKept(kept),
    () => undefined,
  );
});
// "Back" may show the page as it was left, although another tab has signed the person out since.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && shown?.kept) location.reload();
});
// The display on the screen is from before the pause: mark it as not live before anything else.
document.addEventListener("visibilitychange", redraw);
void start();
tick();
keepShell("/citizen-worker.js", "/");
