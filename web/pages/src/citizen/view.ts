/** Draws the citizen's page. */
import { byId, make, setText } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { agencyName, guidanceRevision, reasonName, stepsOf, telephoneOf } from "../shared/guidance.ts";
import { lookup, t } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { ago, clockTime, dateTime, longDate, moment, now } from "../shared/time.ts";
import { COLOURS, isOneOf, type Colour, type ColourCode, type Display } from "../shared/types.ts";
import type { CodeUpdater, NoCode } from "./code-updater.ts";
import type { DisplayUpdater } from "./display-updater.ts";
import { qrCode } from "./qr.ts";

/** An older display is marked as not live. */
const LIVE_MS = 10_000;
/** Whether a decision for this colour without an end is shown as open-ended. */
const OPEN_ENDED: Record<ColourCode, boolean> = { green: false, yellow: true, red: true, none: false };

/** Draws the whole page. Cheap enough for each second: only differences change the document. */
export function draw(display: DisplayUpdater, code: CodeUpdater): void {
  const superseded = display.superseded();
  const live = display.failure === null && now() - display.asOf <= LIVE_MS;
  drawClock(live);
  drawBanner(display);
  drawColour(display, superseded);
  drawCode(codeOf(display, code, superseded));
  drawAsOf(display, live);
  byId("newest").hidden = byId("wrong").hidden = display.display === null;
  if (display.display) drawFacts(display.display, superseded);
}

/** Removes everything drawn before, for another citizen. */
export function clear(): void {
  for (const id of ["name", "document", "tests", "vaccination", "as-of", "code-note"]) setText(byId(id), "");
  for (const id of ["colour-shape", "qr", "decision", "steps", "earlier-tests", "help"]) byId(id).replaceChildren();
  byId("to-do").hidden = byId("earlier").hidden = true;
  byId("banner").hidden = true;
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

function drawBanner(display: DisplayUpdater): void {
  const age = now() - display.asOf;
  // Before the first answer there is no age, but a failure is shown at once.
  const isOld = display.failure !== null || (display.display !== null && age > LIVE_MS);
  const shown = isOld || display.regionSilent;
  byId("banner").hidden = !shown;
  if (!shown) return;
  const why = !isOld ? "region" : (display.failure ?? "unproved");
  setText(byId("banner-why"), t(`stale_${why}`));
  // Outside the live region, because it changes each second.
  setText(byId("banner-age"), display.display ? t("stale_age", ago(display.asOf)) : t("retrying"));
}

function drawColour({ display, failure }: DisplayUpdater, superseded: boolean): void {
  if (!display) return setText(byId("colour-word"), t(failure === null ? "waiting" : "no_status"));
  const colour = superseded || !isOneOf(COLOURS, display.colour.code) ? "unknown" : display.colour.code;
  setText(byId("colour-word"), lookup("colour", colour) ?? colour);
  if (drawnColour === colour) return;
  drawnColour = colour;
  byId("colour").dataset["colour"] = colour;
  document.body.dataset["colour"] = colour;
  byId("colour-shape").replaceChildren(shape(colour));
  const words = [byId("colour-word").textContent];
  if (colour !== "unknown") words.push(reasonName(display.colour.reason));
  setText(byId("announce"), t("announce", words.join(" · ")));
}

/** The code to show, or why there is none. */
function codeOf(display: DisplayUpdater, code: CodeUpdater, superseded: boolean): { text: string } | NoCode | "updating" {
  if (superseded) return "updating";
  // Without a display no code is requested.
  return display.display === null && display.failure !== null ? display.failure : code.current();
}

function drawCode(code: { text: string } | NoCode | "updating"): void {
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
  const isOften = typeof code === "object";
  const wait = isOften ? Math.max(1, Math.ceil((code.retryAt - now()) / 1_000)) : undefined;
  setText(byId("code-note"), t(isOften ? "code_often" : `code_${code}`, wait));
}

function drawAsOf(display: DisplayUpdater, live: boolean): void {
  const element = byId<HTMLTimeElement>("as-of");
  if (!display.display || Number.isNaN(display.asOf)) return setText(element, "");
  const text = t("as_of", moment(display.asOf));
  setText(element, live ? text : `${text} · ${ago(display.asOf)}`);
  element.dateTime = new Date(display.asOf).toISOString();
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
