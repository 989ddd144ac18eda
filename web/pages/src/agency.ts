/** The agency's page: wires its parts together. */
import { singleResultForm } from "./agency/single-result-form.ts";
import { UploadPanel } from "./agency/upload-panel.ts";
import { agencyWords } from "./agency/words.ts";
import { requestJson } from "./shared/api.ts";
import { byId, setText } from "./shared/dom.ts";
import { startLanguage, translator } from "./shared/i18n.ts";
import { parseClaims } from "./shared/session.ts";
import { onToken } from "./shared/token.ts";

const t = translator(agencyWords);

/** Stored nowhere else: the browser keeps nothing. */
let token: string | null = null;
/** The agency whose work is on the page. The work stays there when the token expires. */
let agency: string | null = null;
let notice: () => string = () => "";

const form = singleResultForm(() => token, t, tokenOver);
const panel = new UploadPanel(() => token, t, tokenOver);

function signIn(newToken: string): void {
  const newAgency = agencyOf(newToken);
  const changed = newAgency === null || newAgency !== agency;
  if (changed) clear();
  [token, agency, notice] = [newToken, newAgency, () => ""];
  byId("sign-in").hidden = true;
  byId("work").hidden = byId("sign-out").hidden = byId("single-card").hidden = byId("choose").hidden = false;
  setText(byId("who"), newAgency ?? "");
  if (changed) form.startNew();
}

/** The claim that names the sender to the service. Shown, so that nobody sends as another agency by mistake. */
function agencyOf(token: string): string | null {
  const { agency } = parseClaims(token);
  return typeof agency === "string" ? agency : null;
}

/** Shows the token form. The typed result and the file's outcome stay on the page for the same agency. */
function tokenOver(refused: string): void {
  // The refusal of an earlier token does not concern this one.
  if (refused !== token) return;
  [token, notice] = [null, () => t("token_refused")];
  byId("single-card").hidden = byId("choose").hidden = true;
  byId("work").hidden = byId("upload").hidden;
  showTokenForm();
}

function signOut(): void {
  [token, agency, notice] = [null, null, () => ""];
  clear();
  setText(byId("who"), "");
  byId("work").hidden = byId("sign-out").hidden = true;
  showTokenForm();
}

function clear(): void {
  form.clear();
  panel.clear();
}

function showTokenForm(): void {
  byId<HTMLFormElement>("token-form").reset();
  byId("sign-in").hidden = false;
  redraw();
  // The element that had the focus is hidden.
  byId("sign-in").focus();
  void offerDemo();
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
  setText(byId("notice"), notice());
  panel.redraw();
  form.redraw();
}

startLanguage(byId("lang"), redraw, agencyWords);
onToken(signIn);
byId("demo-agency").addEventListener("click", () => void signInDemo());
byId("sign-out").addEventListener("click", signOut);
signOut();
