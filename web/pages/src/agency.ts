/** The agency's page: wires its parts together. */
import { ConfirmDialog } from "./agency/confirm-dialog.ts";
import { Guide } from "./agency/guide.ts";
import { RecordForm } from "./agency/record-form.ts";
import { loadXlsx, type FileRow } from "./agency/parse-file.ts";
import { SentList, type SentFile } from "./agency/sent-list.ts";
import { connectTemplates } from "./agency/template.ts";
import { UploadPanel } from "./agency/upload-panel.ts";
import { agencyWords } from "./agency/words.ts";
import { requestJson } from "./shared/api.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage, translator } from "./shared/i18n.ts";
import { comesBack, connectRedirect, leaveProvider, lookupKeptSession, offerRedirect } from "./shared/redirect.ts";
import { parseClaims, SessionStore } from "./shared/session.ts";
import { keepShell } from "./shared/shell.ts";
import { onToken } from "./shared/token.ts";

const t = translator(agencyWords);
/** Keeps the token alone: what was typed and sent stays in memory. */
const store = new SessionStore("agency");

let token: string | null = null;
/** The agency whose work is on the page. The work stays there when the token expires. */
let agency: string | null = null;
let notice: () => string = () => "";

const dialog = new ConfirmDialog(t);
const guide = new Guide();
const sent: SentList = new SentList(
  t,
  (record) => form.startCorrection(record),
  (record) => dialog.askWhy(record, (why) => form.takeBack(record, why)),
);
const form = new RecordForm({
  token: () => token,
  agency: () => agency,
  t,
  dialog,
  tokenOver,
  accepted: (record) => sent.add(record),
});
const panel: UploadPanel = new UploadPanel({
  token: () => token,
  agency: () => agency,
  t,
  tokenOver,
  sent: fileSent,
});

/** Lists a file of which rows were accepted; all of them can be taken back together. */
function fileSent(name: string, stored: FileRow[]): void {
  if (stored.length === 0) return;
  const takenBack = (): void => {
    file.isTakenBack = true;
    sent.redraw();
  };
  const takeBack = (): void =>
    dialog.askWhyFile(name, stored.length, (why) => panel.takeBack(stored, why, takenBack));
  const isKnown = stored.every(({ record }) => record.id !== undefined && record.kind !== "retraction");
  const file: SentFile = {
    name,
    rows: stored.length,
    sentAtMs: Date.now(),
    isTakenBack: false,
    takeBack: isKnown ? takeBack : null,
  };
  sent.addFile(file);
}

/** A person's session, which the browser keeps, names its agency beside the token. */
function signIn(newToken: string, newAgency = agencyOf(newToken), isKept = false): void {
  const changed = newAgency === null || newAgency !== agency;
  if (changed) clear();
  [token, agency, notice] = [newToken, newAgency, () => ""];
  if (!isKept) store.save(newToken);
  byId("sign-in").hidden = true;
  for (const id of ["work", "sign-out", "single-card", "sent"]) byId(id).hidden = false;
  panel.redraw();
  guide.start(changed);
  setText(byId("who"), newAgency ?? "");
  if (changed) form.startNew();
}

/** The claim that names the sender to the service. Shown, so that nobody sends as another agency by mistake. */
function agencyOf(token: string): string | null {
  const { agency } = parseClaims(token);
  return typeof agency === "string" ? agency : null;
}

/** Shows the token form. What was typed and sent stays on the page for the same agency, out of sight. */
function tokenOver(refused: string): void {
  // The refusal of an earlier token does not concern this one.
  if (refused !== token) return;
  [token, notice] = [null, () => t("token_refused")];
  store.clear();
  guide.hide();
  dialog.close();
  byId("single-card").hidden = byId("sent").hidden = true;
  byId("work").hidden = byId("upload").hidden;
  showTokenForm();
}

function signOut(): void {
  [token, agency, notice] = [null, null, () => ""];
  store.clear();
  guide.hide();
  clear();
  setText(byId("who"), "");
  byId("work").hidden = byId("sign-out").hidden = true;
  showTokenForm();
}

function clear(): void {
  dialog.close();
  form.clear();
  sent.clear();
  panel.clear();
}

function showTokenForm(): void {
  byId<HTMLFormElement>("token-form").reset();
  byId("sign-in").hidden = false;
  redraw();
  // The element that had the focus is hidden.
  byId("sign-in").focus();
  void offerDemo();
  void offerRedirect("agency");
}

/** Whoever signed in at the provider's page in this browser, and whose session it keeps. */
async function showKeptSession(): Promise<void> {
  const kept = await lookupKeptSession<{ session: string; agency: string }>("agency");
  if (kept && token === null) signIn(kept.session, kept.agency, true);
}

async function offerDemo(): Promise<void> {
  const demo = await requestJson<{ agency: string }>("GET", "/demo/agency").then(() => true, () => false);
  byId("demo-sign-in").hidden = !demo;
}

async function signInDemo(): Promise<void> {
  try {
    const demo = await requestJson<{ token: string }>("POST", "/demo/token", { body: { role: "agency" } });
    if (token === null) signIn(demo.token);
  } catch {
    notice = () => t("sign_in_failed");
    redraw();
  }
}

function redraw(): void {
  document.title = t("agency");
  setText(byId("notice"), notice());
  panel.redraw();
  form.redraw();
  sent.redraw();
  dialog.redraw();
}

startLanguage(byId("lang"), redraw, agencyWords);
onToken((entered) => signIn(entered));
connectRedirect("agency");
byId("demo-agency").addEventListener("click", () => void signInDemo());
byId("sign-out").addEventListener("click", () => {
  const session = token;
  signOut();
  if (session !== null) leaveProvider(session).catch(() => undefined);
});
connectTemplates(t);
// The browser asks, in its own words.
addEventListener("beforeunload", (event) => {
  if (panel.isSending) event.preventDefault();
});
// A reload does not sign out.
const stored = store.lookup();
comesBack();
if (stored === null) {
  showTokenForm();
  void showKeptSession();
} else signIn(stored);
redraw();
// A new version takes over with its worker: its part for workbooks need not fit this page, which loads its own before.
void loadXlsx().then(() => keepShell("/agency-worker.js", "/"));
