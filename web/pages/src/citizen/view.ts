/** Draws the citizen's page. */
import { byId, make, setText } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { agencyName, guidanceRevision, reasonName, stepsOf, telephoneOf } from "../shared/guidance.ts";
import { lookup } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { ago, clockTime, dateTime, longDate, minuteTime, moment, now } from "../shared/time.ts";
import { COLOURS, isOneOf, type Colour, type ColourCode, type Display } from "../shared/types.ts";
import type { NoCode } from "./code-updater.ts";
import type { DisplayUpdater } from "./display-updater.ts";
import type { OwnStatus } from "./own-status.ts";
import { qrCode } from "./qr.ts";
import { t } from "./text.ts";

/** Whether a decision for this colour without an end is shown as open-ended. */
const OPEN_ENDED: Record<ColourCode, boolean> = { green: false, yellow: true, red: true, none: false };

/** What a phone with keys knows and makes by itself. */
export interface Own {
  /** null without a token in force. */
  status: OwnStatus | null;
  /** Seconds until the next code; null without one. */
  nextInS: number | null;
}

/** Draws the whole page. Cheap enough for each second: only differences change the document. */
export function draw(display: DisplayUpdater, code: { text: string } | NoCode, own: Own | null): void {
  const superseded = display.superseded();
  const live = display.failure === null && now() - display.asOf <= display.liveMs;
  // The newer of the two, if the display is not live.
  const isOwnNewer = own?.status && !live && (superseded || !display.display || display.asOf < own.status.asOf);
  const status = isOwnNewer ? own.status : null;
  drawClock(live);
  drawBanner(display, own, status);
  drawLevel(display.level);
  if (status) drawColour(status.colour, null);
  else drawDisplayColour(display, superseded);
  drawCode(own ? code : codeOf(display, code, superseded));
  drawNext(own?.nextInS ?? null);
  drawAsOf(status?.asOf ?? (display.display ? display.asOf : NaN), live);
  byId("newest").hidden = display.display === null && status === null;
  byId("wrong").hidden = display.display === null || status !== null;
  if (status) drawOwnFacts(status);
  else if (display.display) drawFacts(display.display, superseded);
}

/** Removes everything drawn before, for another citizen. */
export function clear(): void {
  for (const id of ["name", "document", "tests", "vaccination", "as-of", "code-note"]) setText(byId(id), "");
  for (const id of ["colour-shape", "qr", "decision", "steps", "earlier-tests", "help"]) byId(id).replaceChildren();
  byId("to-do").hidden = byId("earlier").hidden = true;
  byId("banner").hidden = byId("next-code").hidden = byId("level").hidden = byId("results").hidden = true;
  delete byId("colour").dataset["colour"];
  delete byId("code").dataset["code"];
  for (const name of ["colour", "live", "holds"]) delete document.body.dataset[name];
  clearAnnouncement();
  setText(byId("colour-word"), "");
  drawnFacts = drawnColour = "";
}

/** Empties the announcement, which is in another language or about another citizen. */
export function clearAnnouncement(): void {
  setText(byId("announce"), "");
}

let drawnFacts = "";
let drawnColour = "";

function drawClock(live: boolean): void {
  const time = now();
  setText(byId("clock-time"), clockTime(time));
  setText(byId("clock-date"), longDate(time));
  byId("code").dataset["live"] = document.body.dataset["live"] = String(live);
}

function drawBanner(display: DisplayUpdater, own: Own | null, status: OwnStatus | null): void {
  const asOf = status?.asOf ?? display.asOf;
  const age = now() - asOf;
  // Before the first answer there is no age, but a failure is shown at once.
  const isOld = display.failure !== null || (display.display !== null && age > display.liveMs);
  const shown = isOld || display.regionSilent;
  byId("banner").hidden = !shown;
  if (!shown) return;
  const why = !isOld ? "region" : (display.failure ?? "unproved");
  const isOwn = own?.status && (why === "offline" || why === "busy");
  setText(byId("banner-why"), t(isOwn ? `own_${why}` : `stale_${why}`));
  // Outside the live region, because it changes each second.
  const text = isOwn ? t("own_age", minuteTime(asOf)) : display.display ? t("stale_age", ago(asOf)) : t("retrying");
  setText(byId("banner-age"), text);
}

/** What a busy server leaves out; tests and vaccination can then be asked for on their own. */
function drawLevel(level: number): void {
  byId("level").hidden = byId("results").hidden = level === 0;
  if (level === 0) return;
  const left = level < 5 ? "extras" : level < 6 ? "pace" : level < 7 ? "vaccination" : "tests";
  setText(byId("level"), t(`level_${left}`));
}

function drawDisplayColour({ display, failure }: DisplayUpdater, superseded: boolean): void {
  if (!display) return drawNoColour(t(failure === null ? "waiting" : "no_status"));
  const isKnown = !superseded && isOneOf(COLOURS, display.colour.code);
  drawColour(isKnown ? display.colour.code : "unknown", isKnown ? display.colour.reason : null);
}

/** A colour that was shown before is true no more, or not of this person. */
function drawNoColour(text: string): void {
  setText(byId("colour-word"), text);
  if (drawnColour === "") return;
  drawnColour = "";
  byId("colour-shape").replaceChildren();
  delete byId("colour").dataset["colour"];
  delete document.body.dataset["colour"];
}

function drawColour(colour: ColourCode | "unknown", reason: string | null): void {
  setText(byId("colour-word"), lookup("colour", colour) ?? colour);
  if (drawnColour === colour) return;
  drawnColour = colour;
  byId("colour").dataset["colour"] = colour;
  document.body.dataset["colour"] = colour;
  byId("colour-shape").replaceChildren(shape(colour));
  const words = [byId("colour-word").textContent];
  if (reason !== null) words.push(reasonName(reason));
  setText(byId("announce"), t("announce", words.join(" · ")));
}

/** The bare code to show, or why there is none. */
function codeOf(display: DisplayUpdater, code: { text: string } | NoCode, superseded: boolean): typeof code {
  if (superseded) return "updating";
  // Without a display no code is requested.
  return display.display === null && display.failure !== null ? display.failure : code;
}

function drawCode(code: { text: string } | NoCode): void {
  const frame = byId("code");
  if (typeof code === "object" && "text" in code) {
    if (frame.dataset["code"] === code.text) return;
    frame.dataset["code"] = code.text;
    document.body.dataset["holds"] = "code";
    byId("qr").replaceChildren(qrCode(code.text));
    byId("code-note").hidden = true;
    return;
  }
  // A code that must not be used is removed from the page, not only covered.
  delete frame.dataset["code"];
  document.body.dataset["holds"] = "none";
  byId("qr").replaceChildren();
  byId("code-note").hidden = false;
  setText(byId("code-note"), noteOf(code));
}

function noteOf(code: NoCode): string {
  if (typeof code === "string") return t(`code_${code}`);
  if ("endedAt" in code) return t("code_ended", minuteTime(code.endedAt));
  return t("code_often", Math.max(1, Math.ceil((code.retryAt - now()) / 1_000)));
}

function drawNext(seconds: number | null): void {
  byId("next-code").hidden = seconds === null;
  setText(byId("next-code"), seconds === null ? "" : t("next_code", seconds));
}

function drawAsOf(asOf: number, live: boolean): void {
  const element = byId<HTMLTimeElement>("as-of");
  if (Number.isNaN(asOf)) return setText(element, "");
  const text = t("as_of", moment(asOf));
  setText(element, live ? text : `${text} · ${ago(asOf)}`);
  element.dateTime = new Date(asOf).toISOString();
}

/** A token has neither reason nor agency, and of the tests the newest conclusive one. */
function drawOwnFacts(status: OwnStatus): void {
  const key = [document.documentElement.lang, JSON.stringify(status)].join();
  if (key === drawnFacts) return;
  drawnFacts = key;
  const { identity, test, doses, complete } = status;
  setText(byId("name"), identity?.name ?? t("no_name"));
  setText(byId("document"), identity?.document ?? "");
  for (const id of ["decision", "steps", "earlier-tests"]) byId(id).replaceChildren();
  byId("to-do").hidden = byId("earlier").hidden = true;
  byId("tests").replaceChildren(test ? ownTestLine(test) : make("p", "quiet", t("no_tests")));
  byId("vaccination").replaceChildren(...vaccinationLines({ doses, complete, last_at: null }));
}

function ownTestLine({ result, hours }: NonNullable<OwnStatus["test"]>): Node {
  const word = make("strong", "result", lookup("result", result) ?? result);
  word.dataset["result"] = result;
  return make("p", "test", t("test_nucleic_acid"), " · ", word, " · ", t("within_hours", hours));
}

function drawFacts(display: Display, superseded: boolean): void {
  // Most ages are in minutes or more: one redraw a minute is enough, unless the display changed.
  const minute = Math.floor(now() / 60_000);
  const key = [document.documentElement.lang, minute, guidanceRevision(), superseded, JSON.stringify(display)].join();
  if (key === drawnFacts) return;
  drawnFacts = key;
  const { identity, colour } = display;
  setText(byId("name"), identity.name ?? t("no_name"));
  setText(byId("document"), identity.document ?? "");
  byId("decision").replaceChildren(...(superseded ? [] : decision(colour)));
  const [newest, ...earlier] = testLines(display.tests, 3);
  byId("tests").replaceChildren(...(newest ? [newest] : []));
  byId("earlier").hidden = earlier.length === 0;
  byId("earlier-tests").replaceChildren(...earlier);
  byId("vaccination").replaceChildren(...vaccinationLines(display.vaccination));
  const steps = superseded ? [] : stepsOf(colour);
  byId("to-do").hidden = steps.length === 0;
  byId("steps").replaceChildren(...steps.map((step) => make("li", "", step)));
  byId("help").replaceChildren(...help(colour.agency));
}

/** Whom to ask. */
function help(agency: string | null): (Node | string)[] {
  const decided = agency === null ? "" : `${t("help_agency", agencyName(agency))} `;
  const telephone = telephoneOf(agency);
  if (telephone === null) return [decided + t("help_office")];
  const link = make("a", "", telephone);
  link.href = `tel:${telephone.replaceAll(/[^+\d]/g, "")}`;
  return [decided + t("help_call"), link];
}

function decision(colour: Colour): Node[] {
  const rows: [string, string][] = [[t("reason"), reasonName(colour.reason)]];
  if (colour.since !== null) rows.push([t("since"), dateTime(colour.since)]);
  if (colour.until !== null) rows.push([t("until"), dateTime(colour.until)]);
  else if (OPEN_ENDED[colour.code]) rows.push([t("until"), t("open_ended")]);
  if (colour.agency !== null) rows.push([t("decided_by"), agencyName(colour.agency)]);
  return rows.map(([term, text]) => make("div", "row", make("dt", "", term), make("dd", "", text)));
}
