import { byId } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import { isDemo } from "../shared/session.ts";

/** In the demo there is seldom a scanner at hand: the code can be copied and pasted on the checkpoint's page. */
export function offerCopy(): void {
  const button = byId("copy");
  button.hidden = !isDemo();
  button.textContent = t("copy");
  button.onclick = async () => {
    const code = byId("code").dataset["code"];
    if (code === undefined) return;
    // Refused by the browser: the button then simply does not say that it copied.
    const copied = await navigator.clipboard?.writeText(code).then(() => true, () => false);
    if (copied) button.textContent = t("copied");
    setTimeout(() => (button.textContent = t("copy")), 2_000);
  };
}
