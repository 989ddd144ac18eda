import { Panel } from "./agency/panel.ts";
import { single } from "./agency/single.ts";
import { agencyWords } from "./agency/words.ts";
import { get } from "./shared/api.ts";
import { byId, say } from "./shared/dom.ts";
import { speaks, startLanguage } from "./shared/i18n.ts";
import { claims } from "./shared/session.ts";
import { takeToken } from "./shared/token.ts";

const t = speaks(agencyWords);

/** The token lives here only: nothing is kept in the browser. */
let token: string | null = null;
/** Whose work is on the page; it stays there when no more than the token is over. */
let agency: string | null = null;
let notice: () => string = () => "";

const form = single(() => token, t, tokenOver);
const panel = new Panel(() => token, t, tokenOver);

function signIn(with_: string): void {
  const theirs = agencyOf(with_);
  const another = theirs === null || theirs !== agency;
  if (another) clear();
  [token, agency, notice] = [with_, theirs, () => ""];
  byId("sign-in").hidden = true;
  byId("work").hidden = byId("sign-out").hidden = byId("single-card").hidden = byId("choose").hidden = false;
  say(byId("who"), theirs ?? "");
  if (another) form.begin();
}

/** The claim that the service goes by; shown so that nobody sends under another's name unawares. */
function agencyOf(token: string): string | null {
  const { agency } = claims(token);
  return typeof agency === "string" ? agency : null;
}

/** Asks for a new token only: what was typed and what became of a file are still there for the same agency. */
function tokenOver(used: string): void {
  // What was sent with the one before says nothing of this one.
  if (used !== token) return;
  [token, notice] = [null, () => t("token_refused")];
  byId("single-card").hidden = byId("choose").hidden = true;
  byId("work").hidden = byId("upload").hidden;
  askForToken();
}

function signOut(): void {
  [token, agency, notice] = [null, null, () => ""];
  clear();
  say(byId("who"), "");
  byId("work").hidden = byId("sign-out").hidden = true;
  askForToken();
}

function clear(): void {
  form.clear();
  panel.clear();
}

function askForToken(): void {
  byId<HTMLFormElement>("token-form").reset();
  byId("sign-in").hidden = false;
  redraw();
  // What had the focus is gone.
  byId("sign-in").focus();
  void offerDemo();
}

async function offerDemo(): Promise<void> {
  const demo = await get<{ agency: string }>("GET", "/demo/agency").then(() => true, () => false);
  byId("demo-sign-in").hidden = !demo;
}

async function signInDemo(): Promise<void> {
  try {
    const demo = await get<{ token: string }>("POST", "/demo/token", { body: { role: "agency" } });
    if (token === null) signIn(demo.token);
  } catch {
    notice = () => t("sign_in_failed");
    redraw();
  }
}

function redraw(): void {
  say(byId("notice"), notice());
  panel.redraw();
  form.redraw();
}

startLanguage(byId("lang"), redraw, agencyWords);
takeToken(signIn);
byId("demo-agency").addEventListener("click", () => void signInDemo());
byId("sign-out").addEventListener("click", signOut);
signOut();
