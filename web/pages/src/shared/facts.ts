/** The lines about tests and vaccination, for the citizen's page and the checkpoint's. */
import { make } from "./dom.ts";
import { agencyName } from "./guidance.ts";
import { lookup, t } from "./i18n.ts";
import { ago, date, dateTime } from "./time.ts";
import type { TestResult, Vaccination } from "./types.ts";

/** One line a test, with its result and age: newest first, at most `count`. */
export function testLines(tests: TestResult[] | null | undefined, count: number): Node[] {
  if (!tests) return [make("p", "quiet", t("not_sent"))];
  if (tests.length === 0) return [make("p", "quiet", t("no_tests"))];
  return [...tests]
    .sort((a, b) => Date.parse(b.sampled_at ?? "") - Date.parse(a.sampled_at ?? "") || 0)
    .slice(0, count)
    .map((test) => {
      const name = lookup("test", test.test) ?? test.test;
      const result = make("strong", "result", lookup("result", test.result) ?? test.result);
      result.dataset["result"] = test.result;
      if (test.sampled_at === null) return make("p", "test", make("span", "", name, " · ", result));
      const time = make("time", "", dateTime(test.sampled_at));
      time.dateTime = test.sampled_at;
      return make(
        "p",
        "test",
        make("span", "", name, " · ", result, " · ", ago(Date.parse(test.sampled_at))),
        make("small", "quiet", time, ` · ${agencyName(test.agency ?? "")}`),
      );
    });
}

export function vaccinationLines(vaccination: Vaccination | null | undefined): Node[] {
  if (!vaccination) return [make("p", "quiet", t("not_sent"))];
  if (vaccination.doses === 0) return [make("p", "", t("no_doses"))];
  const { doses, complete, last_at } = vaccination;
  const count = doses === 1 ? t("one_dose") : t("doses", doses);
  const line = make("p", "", `${count} · ${t(complete ? "complete" : "incomplete")}`);
  return last_at === null ? [line] : [line, make("p", "quiet small", t("last_dose", date(last_at)))];
}
