/** The hint of the first minute and the guide: each sign with what to do at it. */
import { byId, make } from "../shared/dom.ts";
import { t, type Word } from "../shared/i18n.ts";
import { shape } from "../shared/shapes.ts";

const HINTS = ["hint_scan", "hint_look", "hint_compare"] as const;

/** [sign, its word, what to do]. */
const ROWS = [
  ["pass", "verdict_pass", "do_green"],
  ["stop", "verdict_stop", "do_red"],
  ["yellow", "sign_yellow", "do_yellow"],
  ["expired", "sign_expired", "do_expired"],
  ["unreadable", "sign_unreadable", "do_malformed"],
  ["test", "sign_test", "do_test_too_old"],
  ["unregistered", "sign_unregistered", "do_not_registered"],
  ["identity", "sign_identity", "do_unknown_issuer"],
  ["unproved", "sign_unproved", "do_unproved"],
  ["foreign", "sign_foreign", "guide_foreign"],
  ["unchecked", "verdict_unchecked", "guide_pass"],
] as const satisfies readonly (readonly [string, Word, Word])[];

export function drawGuide(): void {
  const hints = HINTS.map((word) => make("li", "", t(word)));
  byId("hints").replaceChildren(...hints);
  const rows = ROWS.map(([sign, word, what]) => {
    const row = make("li", "sign", shape(sign), make("span", "", make("strong", "", t(word)), " ", t(what)));
    row.dataset["sign"] = sign;
    return row;
  });
  byId("signs").replaceChildren(...rows);
}

/** Opens the guide and moves there. */
export function openGuide(): void {
  const guide = byId<HTMLDetailsElement>("guide");
  guide.open = true;
  guide.querySelector("summary")!.focus();
  guide.scrollIntoView();
}
