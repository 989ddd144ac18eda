/** The citizen's page: wires its parts together. */
import { setUpCopyButton } from "./citizen/copy-button.ts";
import { clearGuardians, drawGuardians, drawInvitation, setUpGuardians } from "./citizen/guardians.ts";
import { hideDemoPeople, redrawDemoPeople, showDemoPeople } from "./citizen/demo-people.ts";
import { clearHistory, drawHistory, setUpHistory } from "./citizen/history.ts";
import { changeKept, forget, listKept, type Kept } from "./citizen/kept.ts";
import { setUpLargeType } from "./citizen/large-type.ts";
import { OnScreen } from "./citizen/on-screen.ts";
import { drawPeople } from "./citizen/people.ts";
import { drawPhoneCard, keepsNothing, setUpPhoneCard } from "./citizen/phone-card.ts";
import { clearPaper, drawPaper, setUpPaper } from "./citizen/paper.ts";
import { clearPhoneList, drawPhoneList, openPhoneList, setUpPhoneList } from "./citizen/phone-list.ts";
import { endPhone, isTooManyPhones, listPhones } from "./citizen/phones.ts";
import { isNotAGuardian, type Session } from "./citizen/presenter.ts";
import { adopt, NotKeptError, register } from "./citizen/registration.ts";
import { clearResults, drawResults, setUpResults } from "./citizen/results.ts";
import { t, type CitizenWord } from "./citizen/text.ts";
import { clear, clearAnnouncement } from "./citizen/view.ts";
import { keepScreenOn } from "./citizen/wake-lock.ts";
import { clearWards, drawWards, setUpWards } from "./citizen/wards.ts";
import { citizenWords } from "./citizen/words.ts";
import { RefusedError } from "./shared/api.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage } from "./shared/i18n.ts";
import { comesBack, connectRedirect, leaveProvider, lookupKeptSession, offerRedirect } from "./shared/redirect.ts";
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
  byId("for-ward").hidden = session.ward === null;
  if (session.ward === null) delete document.body.dataset["for"];
  else document.body.dataset["for"] = "ward";
  setUpCopyButton();
  const person: OnScreen = new OnScreen(session, kept, {
    changed: redraw,
    sessionOver: () => void sessionOver(person),
    phoneEnded: () => void phoneEnded(person),
    noRoom: () => void noRoom(person),
    guardianshipOver: () => void guardianshipOver(person),
    forgotten: () => signOut(null),
  });
  shown = person;
  if (kept) useKept(person, kept);
  else sessionStorage.removeItem(PERSON);
  void refreshPeople();
  redraw();
}

function showKept(kept: Kept): void {
  show({ session: kept.session!, endsAt: kept.sessionEndsAt, ward: kept.ward }, kept);
}

/** The entry has the session: the tab remembers only which entry. A ward's has one that may be in no other. */
function useKept(person: OnScreen, { id, ward }: Kept): void {
  if (shown === person) person.notice = null;
  if (ward === null) store.remove();
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
  delete document.body.dataset["for"];
  byId("sign-in").hidden = false;
  void refreshPeople();
  redraw();
  showDemoPeople({ signedIn: (session) => void signedIn(session), failed });
  void offerRedirect("citizen");
}

function stop(): void {
  cancelExchange();
  shown?.stop();
  shown = null;
  everywhereFailed = false;
  keepScreenOn(false);
  clear();
  clearHistory();
  clearResults();
  clearPhoneList();
  clearPaper();
  clearWards();
  clearGuardians();
}

async function signedIn({ session, expires_at }: NewSession): Promise<void> {
  const signedIn = { session, endsAt: Date.parse(expires_at), ward: null };
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
    const kept = await register(person.presenter, name, identity);
    tabs.postMessage({ id: kept.id, added: true });
    // Otherwise the browser may remove it when the disk is full.
    void navigator.storage?.persist?.().catch(() => undefined);
    if (shown !== person) return;
    if (kept.session !== person.presenter.session) return showKept(kept);
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

/** The phone's id stays, so that the person gets no second one here; and so for the session's wards. */
async function sessionOver({ presenter: { session } }: OnScreen): Promise<void> {
  signOut("session_ended");
  const end = (one: Kept): Kept =>
    one.session === session ? { ...one, session: null, freshness: null, identity: null, batch: null } : one;
  for (const { id } of await entriesOf(session)) {
    await changeKept(id, end).catch(() => undefined);
    tabs.postMessage({ id, added: false });
  }
  await refreshPeople();
}

/** It was ended elsewhere. */
async function phoneEnded(person: OnScreen): Promise<void> {
  person.notice = "phone_ended";
  await dropKeys(person);
}

/** What the browser still keeps would bring a better colour back: it goes, and so does the phone. */
async function noRoom(person: OnScreen): Promise<void> {
  const phone = person.kept?.phone;
  keepsNothing();
  await dropKeys(person);
  if (phone !== undefined) await endPhone(person.presenter, phone).catch(() => undefined);
}

/** The entries that a session is in: of its holder, and of the holder's wards. */
async function entriesOf(session: string): Promise<Kept[]> {
  return (await readPeople()).filter((kept) => kept.session === session);
}

/** Shows the code of one whose guardian the citizen is, or with null the citizen's own. */
async function showFor(ward: string | null, notice: CitizenWord | null = null, freshness?: string): Promise<void> {
  const person = shown;
  if (!person) return;
  const { session, endsAt } = person.presenter;
  const by = { session, endsAt, ward, freshness };
  const kept = await adopt(by).catch(() => null);
  if (shown !== person) return;
  if (kept) showKept(kept);
  else {
    if (ward === null) store.save(session, Date.now() + endsAt - now());
    show(by, null);
  }
  if (shown) shown.notice = notice;
  redraw();
  // The element that had the focus may be hidden.
  byId("colour").focus();
}

/** The keys of a ward go with the guardianship. */
async function guardianshipOver(person: OnScreen): Promise<void> {
  if (shown !== person) return;
  const { kept } = person;
  await showFor(null, "ward_over");
  if (kept) await remove(kept.id);
}

/** The keys of a ward whom the citizen has given up. The list's handle is not the entry's: the service is asked. */
async function forgetWards(): Promise<void> {
  const session = shown?.presenter.session;
  const wards = session === undefined ? [] : (await entriesOf(session)).filter(({ ward }) => ward !== null);
  for (const { id, ward } of wards) {
    const isOver = await listPhones({ session: session!, ward }).then(() => false, isNotAGuardian);
    if (isOver) await remove(id);
  }
}

/** The person stays signed in, in this tab. */
async function dropKeys(person: OnScreen): Promise<void> {
  const { kept, presenter } = person;
  if (!kept || shown !== person) return;
  store.save(presenter.session, Date.now() + presenter.endsAt - now());
  sessionStorage.removeItem(PERSON);
  person.useKeys(null);
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
  drawInvitation();
}

/** Stays signed in if the service does not end the sessions: they are valid then. */
async function signOutEverywhere(person: OnScreen): Promise<void> {
  const { session } = person.presenter;
  const entries = await entriesOf(session);
  const outcome = await endAllSessions(session).then(
    () => "everywhere_done" as const,
    (error: unknown) => (error instanceof RefusedError && error.sessionOver ? ("session_ended" as const) : null),
  );
  if (outcome !== null) for (const { id } of entries) void remove(id);
  // Somebody else may have signed in meanwhile.
  if (shown && shown !== person) return;
  if (outcome !== null) {
    signOut(outcome);
    return leaveProvider(session);
  }
  everywhereFailed = true;
  redraw();
}

/** Ends phones and session at the service, and removes the keys: of the citizen, and of their wards. */
async function signOutHere({ presenter: { session } }: OnScreen): Promise<void> {
  const entries = await entriesOf(session);
  const removed = Promise.all(entries.map(({ id }) => remove(id)));
  for (const { phone, ward } of entries) await endPhone({ session, ward }, phone);
  await endSession(session);
  await removed;
  // What the browser keeps opens nothing any more.
  await leaveProvider(session).catch(() => undefined);
}

/** Redraws at each full second, so that the clock skips none. */
function tick(): void {
  if (!document.hidden) redraw();
  setTimeout(tick, 1_000 - (now() % 1_000));
}

/** Whether the browser keeps a session of somebody who signed in at the provider's page, who is shown then. */
async function showKeptSession(): Promise<boolean> {
  const session = await lookupKeptSession<NewSession>("citizen");
  if (session !== null && !shown) await signedIn(session);
  return session !== null;
}

async function start(): Promise<void> {
  if (comesBack() && (await showKeptSession())) return;
  const [stored, shownBefore] = [store.lookup(), sessionStorage.getItem(PERSON)];
  const showStored = (session: string): void =>
    show({ session, endsAt: now() + store.lookupEnd() - Date.now(), ward: null }, null);
  if (stored !== null && shownBefore === null) return showStored(stored);
  people = (await readPeople()).filter(({ session }) => session !== null);
  const kept = people.find(({ id }) => id === shownBefore) ?? (stored === null ? people[0] : undefined);
  if (!kept && stored === null) {
    showSignIn(null);
    return void showKeptSession();
  }
  if (!kept) return showStored(stored!);
  assumeServerClockOffset(kept.clockOffset);
  showKept(kept);
}

onSession("citizen", (session) => void signedIn(session), failed);
connectRedirect("citizen");
/** The citizen, while they show their own code. */
const own = (): Session | null => (shown?.presenter.ward === null ? shown.presenter : null);

setUpHistory(() => shown && { bearer: shown.presenter.session, etag: shown.display.etag });
setUpResults(() => shown && { presenter: shown.presenter, etag: shown.display.etag });
setUpPhoneCard(keepOnThisPhone, () => shown?.phoneCodes?.showEnded());
setUpPhoneList(() => shown && { presenter: shown.presenter, phone: shown.kept?.phone ?? null });
setUpPaper(() => shown?.presenter ?? null);
setUpGuardians(own);
setUpWards({
  current: own,
  show: ({ ward }, freshness) => void showFor(ward, null, freshness),
  ended: () => void forgetWards(),
});
setUpLargeType(byId("large"));
startLanguage(
  byId("lang"),
  () => {
    clearAnnouncement();
    redraw();
    drawHistory();
    drawResults();
    setUpCopyButton();
    redrawDemoPeople();
    drawPhoneList();
    drawPaper();
    drawWards();
    drawGuardians();
    redrawPeople();
  },
  citizenWords,
);
byId("print").addEventListener("click", () => window.print());
byId("everywhere").addEventListener("click", () => {
  if (shown) signOutEverywhere(shown).catch(() => undefined);
});
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
byId("own-code").addEventListener("click", () => void showFor(null));
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
  adopt(person.presenter).then(
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
document.addEventListener("pointerdown", () => shown?.display.refresh());
document.addEventListener("keydown", () => shown?.display.refresh());
void start();
tick();
keepShell("/citizen-worker.js", "/");
