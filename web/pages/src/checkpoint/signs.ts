/** The sign of a verdict "check", so that a guard tells a yellow person from a code to scan again. */
import type { Sign } from "../shared/shapes.ts";
import type { Scan } from "../shared/types.ts";

const SIGNS: Record<string, Sign> = {
  yellow: "yellow",
  expired: "expired",
  not_yet_valid: "early",
  stale_proof: "expired",
  malformed: "unreadable",
  test_required: "test",
  test_too_old: "test",
  nobody: "unregistered",
  not_registered: "unregistered",
  closed: "identity",
  phone_ended: "identity",
  paper: "identity",
  paper_ended: "identity",
  unknown_issuer: "identity",
  revoked_key: "expired",
  unproved: "unproved",
  region_silent: "unproved",
  changed_since: "unproved",
  bundle_old: "unproved",
  foreign_positive: "foreign",
  foreign_incomplete: "foreign",
  foreign_too_recent: "foreign",
  foreign_too_old: "foreign",
  foreign_not_listed: "foreign",
  foreign_unsupported: "foreign",
  foreign_in_parts: "foreign",
  foreign_issuer_unknown: "foreign",
  foreign_key_usage: "foreign",
  foreign_revoked: "foreign",
  foreign_expired: "expired",
  foreign_not_yet_valid: "early",
};

/** null for the other verdicts, whose signs are their own, and for a reason of a later server. */
export function signFor({ verdict, reason, guardian }: Pick<Scan, "verdict" | "reason" | "guardian">): Sign | null {
  // Only the guardian is left to check.
  if (verdict === "check" && reason === "green" && guardian) return "identity";
  return verdict === "check" && Object.hasOwn(SIGNS, reason) ? SIGNS[reason]! : null;
}
