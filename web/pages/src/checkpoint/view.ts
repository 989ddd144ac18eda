/** Draws the verdict panel. */
import { byId, make, setText } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { lang, lookup, t } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { clockTime, moment, now } from "../shared/time.ts";
import type { Colour, Scan } from "../shared/types.ts";
import { foreignFacts } from "./foreign.ts";
import { offlineFacts } from "./offline-facts.ts";
import type { Outcome } from "./scanner.ts";
import { signFor } from "./signs.ts";

/** Draws one outcome and removes everything of the one before. */
export function draw(outcome: Outcome): void {
  const verdict = outcome.kind === "scan" ? outcome.scan.verdict : outcome.kind;
  const panel = byId("verdict");
  panel.dataset["verdict"] = verdict;
  panel.dataset["reason"] = reason(outcome);
  const sign = outcome.kind === "scan" ? signFor(outcome.scan) : null;
  panel.dataset["sign"] = sign ?? "";
  panel.toggleAttribute("data-foreign", outcome.kind === "scan" && outcome.scan.foreign !== undefined);
  const busy = verdict === "waiting" || verdict === "reading";
  byId("verdict-shape").replaceChildren(...(busy ? [] : [shape(sign ?? verdict)]));
  setText(byId("verdict-word"), sign === null ? t(`verdict_${verdict}`) : t(`sign_${sign}`));
  setText(byId("instruction"), instruction(outcome));
  const byGuardian = outcome.kind === "scan" && outcome.scan.guardian === true;
  byId("by-guardian").hidden = !byGuardian;
  setText(byId("by-guardian"), byGuardian ? t("by_guardian") : "");
  drawCountdown(outcome);
  byId("person").replaceChildren(...(outcome.kind === "scan" ? facts(outcome) : []));
}

/** Draws the seconds until a retry. Separate, so that a screen reader does not announce each of them. */
export function drawCountdown(outcome: Outcome): void {
  const seconds = "until" in outcome ? Math.ceil((outcome.until - Date.now()) / 1_000) : 0;
  setText(byId("countdown"), seconds > 0 ? t("seconds", seconds) : "");
}

function reason(outcome: Outcome): string {
  if (outcome.kind === "scan") return outcome.scan.reason;
  return outcome.kind === "unchecked" ? outcome.why : "";
}

function instruction(outcome: Outcome): string {
  switch (outcome.kind) {
    case "idle":
      return t("idle_hint");
    case "reading":
    case "waiting":
      return "";
    case "scan":
      if (outcome.offline && isOfTime(outcome.scan.reason)) {
        return `${lookup("do", outcome.scan.reason)}\n${t("offline_clock", clockTime(now()))}`;
      }
      // What to compare is said beside it.
      if (outcome.scan.guardian && outcome.scan.reason === "green") return t("do_by_guardian");
      // The server's instruction is English.
      return lookup("do", outcome.scan.reason) ?? (lang() === "en" ? outcome.scan.instruction : t("do_other"));
    case "unchecked":
      return t(`unchecked_${outcome.why}`);
  }
}

/** Whether a wrong clock may be the reason. Online it is not this device's. */
const isOfTime = (reason: string): boolean =>
  ["not_yet_valid", "stale_proof", "foreign_not_yet_valid"].includes(reason);

function facts(outcome: Extract<Outcome, { kind: "scan" }>): Node[] {
  if (!outcome.offline) return [...person(outcome.scan), ...levelLine(outcome.level)];
  return outcome.scan.foreign ? person(outcome.scan) : offlineFacts(outcome.offline);
}

/** What the service leaves out at this level of degradation (docs/levels.md). */
function levelLine(level: number): Node[] {
  if (level < 3) return [];
  return [make("p", "level", t(level < 6 ? "guard_level_documents" : "guard_level_facts"))];
}

function person(scan: Scan): Node[] {
  const nodes: Node[] = [];
  if (scan.identity) {
    const { name, document } = scan.identity;
    // Isolated: a name in another direction of writing must not move the number beside it.
    const shown = make("strong", "", make("bdi", "", name ?? t("no_name")));
    nodes.push(make("p", "who", shown, " ", make("bdi", "number", document ?? "")));
  }
  if (scan.colour) nodes.push(colourLine(scan.colour));
  if (scan.foreign) return [...nodes, ...foreignFacts(scan.foreign)];
  // Without a person, "no test on record" would be a false statement about one.
  if (scan.identity || scan.colour) {
    nodes.push(fact("last_test", testLines(scan.tests, 1)), fact("vaccination", vaccinationLines(scan.vaccination)));
  }
  if (scan.as_of !== null) nodes.push(make("p", "quiet small", t("as_of", moment(Date.parse(scan.as_of)))));
  return nodes;
}

function colourLine(colour: Colour): Node {
  const chip = make("span", "chip", shape(colour.code), lookup("colour", colour.code) ?? colour.code);
  chip.dataset["colour"] = colour.code;
  return make("p", "colour", chip, " ", lookup("reason", colour.reason) ?? t("reason_other"));
}

function fact(title: "last_test" | "vaccination", lines: Node[]): Node {
  return make("div", "fact", make("h2", "quiet", t(title)), ...lines);
}
