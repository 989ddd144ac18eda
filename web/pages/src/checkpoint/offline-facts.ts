/** The lines about a person by what the code itself says. */
import { make } from "../shared/dom.ts";
import { vaccinationLines } from "../shared/facts.ts";
import { t } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";
import { minuteTime } from "../shared/time.ts";
import type { OfflineFacts } from "./offline.ts";

/** Nothing for a code that is refused. */
export function offlineFacts({ says, paper, showsTestAge }: OfflineFacts): Node[] {
  if (paper) return [who(paper.name, paper.document)];
  if (!says) return [];
  const { name, colour, test, doses, complete, asOf } = says;
  const chip = make("span", "chip", shape(colour), t(`colour_${colour}`));
  chip.dataset["colour"] = colour;
  return [
    who(name, null),
    make("p", "colour", chip),
    fact("last_test", test ? [testLine(test[0], showsTestAge ? test[1] : null)] : [make("p", "quiet", t("no_tests"))]),
    fact("vaccination", vaccinationLines({ doses, complete, last_at: null })),
    make("p", "quiet small", t("as_of", minuteTime(asOf * 1_000))),
  ];
}

/** Isolated: a name in another direction of writing must not move the number beside it. */
function who(name: string | null, document: string | null): Node {
  const shown = make("strong", "", make("bdi", "", name ?? t("no_name")));
  return make("p", "who", shown, ...(document === null ? [] : [" ", make("bdi", "number", document)]));
}

/** The code has the age in hours, rounded up. */
function testLine(result: keyof typeof RESULTS, ageS: number | null): Node {
  const shown = make("strong", "result", t(RESULTS[result]));
  shown.dataset["result"] = result;
  const age = ageS === null ? [] : [" · ", t("offline_age", Math.ceil(ageS / 3_600))];
  return make("p", "test", make("span", "", t("test_nucleic_acid"), " · ", shown, ...age));
}

const RESULTS = {
  negative: "result_negative",
  positive: "result_positive",
  inconclusive: "result_inconclusive",
  invalid: "result_invalid",
} as const;

function fact(title: "last_test" | "vaccination", lines: Node[]): Node {
  return make("div", "fact", make("h2", "quiet", t(title)), ...lines);
}
