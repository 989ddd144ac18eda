import { byId, make, say } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { lookup, t } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { ago, clockTime, dateTime, longDate, moment, now } from "../shared/time.ts";
import type { Colour, Display } from "../shared/types.ts";
import type { CodeFollower, DisplayFollower } from "./follow.ts";
import { qrCode } from "./qr.ts";

/** Older than this, what is shown is called not live. */
const LIVE_MS = 10_000;
const COLOURS: ReadonlySet<string> = new Set(["green", "yellow", "red", "none"]);

/** Draws all of it; cheap enough for each second, since only what differs touches the page. */
export function draw(display: DisplayFollower, code: CodeFollower): void {
  const superseded = display.superseded();
  const live = display.trouble === null && now() - display.asOf <= LIVE_MS;
  drawClock(live);
  drawBanner(display);
  drawColour(display.display, superseded);
  drawCode(code, superseded);
  drawAsOf(display, live);
  if (display.display) drawFacts(display.display, superseded);
}

/** Another person or language: nothing drawn before may be kept. */
export function clear(): void {
  for (const id of ["name", "document", "tests", "vaccination", "as-of", "code-note"]) say(byId(id), "");
  for (const id of ["colour-shape", "qr", "decision", "help"]) byId(id).replaceChildren();
  byId("banner").hidden = true;
  delete byId("colour").dataset["colour"];
  delete byId("code").dataset["code"];
  for (const name of ["colour", "live", "holds"]) delete document.body.dataset[name];
  hush();
  say(byId("colour-word"), "");
  drawnFacts = drawnColour = "";
}

/** What was said is in another language now, or about somebody else. */
export function hush(): void {
  say(byId("announce"), "");
}

let drawnFacts = "";
let drawnColour = "";

function drawClock(live: boolean): void {
  const time = now();
  say(byId("clock-time"), clockTime(time));
  say(byId("clock-date"), longDate(time));
  byId("code").dataset["live"] = document.body.dataset["live"] = String(live);
}

function drawBanner(display: DisplayFollower): void {
  const age = now() - display.asOf;
  // Before the first answer there is no age, but a failure is said at once.
  const shown = display.trouble !== null || (display.display !== null && age > LIVE_MS);
  byId("banner").hidden = !shown;
  if (!shown) return;
  const why = t(display.trouble === null ? "stale_unproved" : `stale_${display.trouble}`);
  say(byId("banner-why"), why);
  // Kept out of the live region: it changes each second.
  say(byId("banner-age"), display.display ? t("stale_age", ago(display.asOf)) : t("retrying"));
}

function drawColour(display: Display | null, superseded: boolean): void {
  if (!display) return say(byId("colour-word"), t("waiting"));
  const colour = superseded || !COLOURS.has(display.colour.code) ? "unknown" : display.colour.code;
  say(byId("colour-word"), lookup("colour", colour) ?? colour);
  if (drawnColour === colour) return;
  drawnColour = colour;
  byId("colour").dataset["colour"] = colour;
  document.body.dataset["colour"] = colour;
  byId("colour-shape").replaceChildren(shape(colour));
  const why = colour === "unknown" ? null : (lookup("reason", display.colour.reason) ?? display.colour.reason);
  say(byId("announce"), t("announce", [byId("colour-word").textContent, ...(why === null ? [] : [why])].join(" · ")));
}

function drawCode(follower: CodeFollower, superseded: boolean): void {
  const frame = byId("code");
  const code = superseded ? "updating" : follower.current();
  if (typeof code === "object") {
    if (frame.dataset["code"] === code.text) return;
    frame.dataset["code"] = code.text;
    document.body.dataset["holds"] = "code";
    byId("qr").replaceChildren(qrCode(code.text));
    byId("code-note").hidden = true;
    return;
  }
  // A code that must not be used is taken off the page, not only covered.
  delete frame.dataset["code"];
  document.body.dataset["holds"] = "none";
  byId("qr").replaceChildren();
  byId("code-note").hidden = false;
  say(byId("code-note"), t(`code_${code}`));
}

function drawAsOf(display: DisplayFollower, live: boolean): void {
  const element = byId<HTMLTimeElement>("as-of");
  if (!display.display || Number.isNaN(display.asOf)) return say(element, t("waiting"));
  const text = t("as_of", moment(display.asOf));
  say(element, live ? text : `${text} · ${ago(display.asOf)}`);
  element.dateTime = new Date(display.asOf).toISOString();
}

function drawFacts(display: Display, superseded: boolean): void {
  // Ages in the facts are in minutes and more, mostly: once a minute is enough, unless something changed.
  const key = [document.documentElement.lang, Math.floor(now() / 60_000), superseded, JSON.stringify(display)].join();
  if (key === drawnFacts) return;
  drawnFacts = key;
  const { identity, colour } = display;
  say(byId("name"), identity.name ?? t("no_name"));
  say(byId("document"), identity.document ?? "");
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
  else if (colour.code === "yellow" || colour.code === "red") rows.push([t("until"), t("open_ended")]);
  if (colour.agency !== null) rows.push([t("decided_by"), colour.agency]);
  return rows.map(([term, text]) => make("div", "row", make("dt", "", term), make("dd", "", text)));
}
