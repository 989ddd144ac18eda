/** The button that copies the code, in the demo only. */
import { byId } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import { isDemo } from "../shared/session.ts";

/** Lets a demo without a scanner paste the code on the checkpoint's page. */
export function setUpCopyButton(): void {
  const button = byId("copy");
  button.hidden = !isDemo();
  button.textContent = t("copy");
  button.onclick = async () => {
    const code = byId("code").dataset["code"];
    if (code === undefined) return;
    // If the browser refuses, the button keeps its label.
    const copied = await navigator.clipboard?.writeText(code).then(() => true, () => false);
    if (copied) button.textContent = t("copied");
    setTimeout(() => (button.textContent = t("copy")), 2_000);
  };
}
