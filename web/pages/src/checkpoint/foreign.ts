/** The lines about a code of another system: what it proves, and whom to compare with the identity document. */
import { make } from "../shared/dom.ts";
import { lang, lookup, t } from "../shared/i18n.ts";
import { ago, date, dateTime } from "../shared/time.ts";
import type { Foreign } from "../shared/types.ts";

export function foreignFacts({ scheme, country, issuer, born, vaccination, tests, recovery }: Foreign): Node[] {
  const nodes: Node[] = [];
  if (born !== null) nodes.push(make("p", "born", t("born", born)));
  const by = [lookup("scheme", scheme) ?? scheme, countryName(country), issuer].filter((part) => part !== null);
  nodes.push(make("p", "quiet small", make("bdi", "", by.join(" · "))));
  if (vaccination) {
    const { doses, of, vaccine, last_on } = vaccination;
    const count = of === null ? t("foreign_doses", doses) : t("foreign_doses", `${doses}/${of}`);
    const line = make("p", "", count, " · ", make("bdi", "", vaccine));
    nodes.push(fact(t("vaccination"), line, make("p", "quiet small", t("last_dose", date(last_on)))));
  }
  for (const { test, result, sampled_at } of tests) {
    const shown = make("strong", "result", lookup("result", result ?? "") ?? t("foreign_unlisted"));
    shown.dataset["result"] = result ?? "";
    const name = lookup("test", test ?? "") ?? t("foreign_unlisted");
    const line = make("p", "test", make("span", "", name, " · ", shown, " · ", ago(Date.parse(sampled_at))));
    nodes.push(fact(t("last_test"), line, make("p", "quiet small", dateTime(sampled_at))));
  }
  if (recovery) {
    const line = make("p", "", t("first_positive", date(recovery.first_positive_on)));
    const until = make("p", "quiet small", t("recovery_until", date(recovery.valid_until)));
    nodes.push(fact(t("recovery"), line, until));
  }
  return nodes;
}

function fact(title: string, ...lines: Node[]): Node {
  return make("div", "fact", make("h2", "quiet", title), ...lines);
}

/** The country's name in the page's language; its code if the browser has none. */
function countryName(code: string): string {
  return new Intl.DisplayNames([lang()], { type: "region", fallback: "code" }).of(code) ?? code;
}
