/** Draws the citizen's page. */
import { byId, make, setText } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { lookup, t } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { ago, clockTime, dateTime, longDate, moment, now } from "../shared/time.ts";
import { COLOURS, isOneOf, type Colour, type ColourCode, type Display } from "../shared/types.ts";
import type { CodeUpdater } from "./code-updater.ts";
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
  drawColour(display.display, superseded);
  drawCode(code, superseded);
  drawAsOf(display, live);
  if (display.display) drawFacts(display.display, superseded);
}

/** Removes everything drawn before, for another citizen. */
export function clear(): void {
  for (const id of ["name", "document", "tests", "vaccination", "as-of", "code-note"]) setText(byId(id), "");
  for (const id of ["colour-shape", "qr", "decision", "help"]) byId(id).replaceChildren();
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

function drawColour(display: Display | null, superseded: boolean): void {
  if (!display) return setText(byId("colour-word"), t("waiting"));
  const colour = superseded || !isOneOf(COLOURS, display.colour.code) ? "unknown" : display.colour.code;
  setText(byId("colour-word"), lookup("colour", colour) ?? colour);
  if (drawnColour === colour) return;
  drawnColour = colour;
  byId("colour").dataset["colour"] = colour;
  document.body.dataset["colour"] = colour;
  byId("colour-shape").replaceChildren(shape(colour));
  const words = [byId("colour-word").textContent];
  if (colour !== "unknown") words.push(lookup("reason", display.colour.reason) ?? display.colour.reason);
  setText(byId("announce"), t("announce", words.join(" · ")));
}

function drawCode(updater: CodeUpdater, superseded: boolean): void {
  const frame = byId("code");
  const code = superseded ? "updating" : updater.current();
  if (typeof code === "object") {
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
  setText(byId("code-note"), t(`code_${code}`));
}

function drawAsOf(display: DisplayUpdater, live: boolean): void {
  const element = byId<HTMLTimeElement>("as-of");
  if (!display.display || Number.isNaN(display.asOf)) return setText(element, t("waiting"));
  const text = t("as_of", moment(display.asOf));
  setText(element, live ? text : `${text} · ${ago(display.asOf)}`);
  element.dateTime = new Date(display.asOf).toISOString();
}

function drawFacts(display: Display, superseded: boolean): void {
  // Most ages are in minutes or more: one redraw a minute is enough, unless the display changed.
  const key = [document.documentElement.lang, Math.floor(now() / 60_000), superseded, JSON.stringify(display)].join();
  if (key === drawnFacts) return;
  drawnFacts = key;
  const { identity, colour } = display;
  setText(byId("name"), identity.name ?? t("no_name"));
  setText(byId("document"), identity.document ?? "");
  byId("decision").replaceChildren(...(superseded ? [] : decision(colour)));
  byId("tests").replaceChildren(...testLines(display.tests, 3));
  byId("vaccination").replaceChildren(...vaccinationLines(display.vaccination));
  const help = colour.agency === null ? t("help_hotline") : t("help_agency", colour.agency);
  byId("help").replaceChildren(help);
}

function decision(colour: Colour): Node[] {
  const rows: [string, string][] = [
    [t("reason"), lookup("reason", colour.reason) ?? colour.reason],
    [t("since"), dateTime(colour.since)],
  ];
  if (colour.until !== null) rows.push([t("until"), dateTime(colour.until)]);
  else if (OPEN_ENDED[colour.code]) rows.push([t("until"), t("open_ended")]);
  if (colour.agency !== null) rows.push([t("decided_by"), colour.agency]);
  return rows.map(([term, text]) => make("div", "row", make("dt", "", term), make("dd", "", text)));
}
