/** The verdict on a code without a network: a function of code, bundle, policy and time. */
import { verifyCode, type Refusal } from "../code/code.ts";
import { colourAt, testAt, type Snapshot, type TestResultCode } from "../code/snapshot.ts";
import type { Paper } from "../code/paper.ts";
import type { Claims } from "../code/token.ts";
import type { ColourCode, Verdict } from "../shared/types.ts";
import type { Bundle } from "./bundle.ts";

const SLOT_S = 6 * 3_600;

/** Reasons by which a code that was read is judged; `docs/api.md` has those of a read node. */
type Judged =
  | "green"
  | "red"
  | "yellow"
  | "nobody"
  | "paper"
  | "changed_since"
  | "bundle_old"
  | "unproved"
  | "test_required"
  | "test_too_old";

export interface OfflineVerdict {
  verdict: Verdict;
  reason: Refusal | Judged;
  /** What the token says; null if it was refused. */
  says: {
    colour: ColourCode;
    /** The result of the newest conclusive test, and its age in seconds at most. */
    test: [TestResultCode, number] | null;
    doses: number;
    complete: boolean;
    name: string | null;
    /** Of when its data is, in seconds since 1970. */
    asOf: number;
  } | null;
  /** The holder whom a printed code names; null of others. */
  paper: Paper | null;
  /** A guardian shows a code that was read. */
  guardian: boolean;
}

/**
 * Judges a code at `now` (seconds since 1970), by a bundle that is judged by. `requireTestWithinH`: the checkpoint's
 * policy.
 */
export async function judgeOffline(
  text: string,
  bundle: Bundle,
  requireTestWithinH: number | null,
  now: number,
): Promise<OfflineVerdict> {
  const { issuers, rules } = bundle.index;
  const times = { proofAge: rules.proofAge, ahead: rules.ahead, expired: bundle.emergency(now)?.expired ?? 0 };
  const claims = await verifyCode(text, issuers, now, times);
  if (typeof claims === "string") {
    const verdict = claims === "forged" || claims === "wrong_phone" ? "stop" : "check";
    return { verdict, reason: claims, says: null, paper: null, guardian: false };
  }
  const { snapshot, paper, issuedAt, validFrom, guardian } = claims;
  if (!snapshot) return { verdict: "check", reason: "paper", says: null, paper, guardian };
  const colour = colourAt(snapshot, validFrom, now);
  const test = testAt(snapshot, issuedAt, now);
  const reason = judge(claims, snapshot, colour, test, bundle, requireTestWithinH, now);
  const { doses, complete, name, lag } = snapshot;
  const says = { colour, test, doses, complete, name, asOf: issuedAt - lag };
  return { verdict: reason === "green" ? "pass" : reason === "red" ? "stop" : "check", reason, says, paper, guardian };
}

/** A restriction stands whatever else is known. */
function judge(
  { issuedAt, validFrom, phone }: Claims,
  snapshot: Snapshot,
  colour: ColourCode,
  test: [TestResultCode, number] | null,
  bundle: Bundle,
  requireTestWithinH: number | null,
  now: number,
): Judged {
  if (colour !== "green") return colour === "none" ? "nobody" : colour;
  const { lag, issuedNotBefore } = bundle.index.rules;
  // A slot that the bundle does not have says nothing of its phones.
  const isDenied = phone !== null && bundle.denies(Math.floor(validFrom / SLOT_S), phone.denialTag) !== false;
  if (isDenied || issuedAt < issuedNotBefore) return "changed_since";
  if (bundle.state(now) === "old") return "bundle_old";
  if (snapshot.lag > lag) return "unproved";
  if (requireTestWithinH === null) return "green";
  if (test?.[0] !== "negative") return "test_required";
  return test[1] <= requireTestWithinH * 3_600 ? "green" : "test_too_old";
}
