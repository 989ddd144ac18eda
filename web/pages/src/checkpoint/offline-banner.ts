/** The banner above the verdict while codes are judged without the service. */
import { byId, setText } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import { minuteTime, now } from "../shared/time.ts";
import type { OfflineJudge } from "./offline.ts";
import type { Outcome } from "./scanner.ts";

/** To be called with each outcome and each second: the data grows old. */
export function drawOffline(offline: OfflineJudge, outcome: Outcome): void {
  const at = now() / 1_000;
  const { bundle, refusal } = offline;
  const state = bundle?.state(at) ?? "none";
  const isJudging = offline.isOffline || (outcome.kind === "scan" && outcome.offline !== undefined);
  const banner = byId("offline");
  banner.hidden = !isJudging && refusal === null;
  banner.dataset["state"] = state;
  const isJudgedBy = bundle && (state === "current" || state === "aging" || state === "old");
  const asOf = isJudgedBy ? t("offline_as_of", minuteTime(bundle.index.releasedAt * 1_000)) : t("offline_none");
  setText(byId("offline-as-of"), isJudging ? asOf : "");
  setText(byId("offline-note"), note());
  const emergency = isJudgedBy ? bundle.emergency(at) : null;
  byId("offline-emergency").hidden = !isJudging || !emergency;
  setText(byId("offline-emergency-until"), emergency ? t("offline_emergency", minuteTime(emergency.until * 1_000)) : "");
  // An operator's words, in any language.
  setText(byId("offline-emergency-why"), emergency?.why ?? "");

  function note(): string {
    if (!isJudging) return refusal === null ? "" : t("offline_refused");
    switch (state) {
      case "current":
        return "";
      case "aging":
      case "old":
        return t(`offline_${state}`);
      case "none":
        return "";
      case "over":
        return t("unchecked_bundle_over");
      case "clock":
        return t("unchecked_clock");
    }
  }
}
