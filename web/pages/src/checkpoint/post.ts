/** Draws in the header which checkpoint scans here, and by which policy. */
import { byId, setText } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import type { Checkpoint } from "../shared/types.ts";

/** null while nobody is signed in, or if the session does not say. */
export function drawPost(checkpoint: Checkpoint | null): void {
  setText(byId("post-name"), checkpoint?.name ?? t("checkpoint"));
  setText(byId("post-policy"), checkpoint ? policy(checkpoint) : "");
}

function policy({ require_test_within_h: hours }: Checkpoint): string {
  return hours === null ? t("post_any") : t("post_test", hours);
}
