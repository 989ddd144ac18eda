/**
 * Acceptance rules: which statements of other systems' codes let their holder pass. `foreign/rules/acceptance.toml`
 * explains each of them.
 */
import { CLOCK_SKEW_MS, DAY_MS, type Certificate, type Dose, type Proof } from "./statement.ts";
import type { Recovery, TestResult, Vaccination } from "./statement.ts";

const HOUR_MS = 3_600_000;

/** A document, as a bundle has it: in JSON. */
export interface Rules {
  version: number;
  diseases: string[];
  vaccination: { from_d: number; booster_from_d: number; to_d: number; vaccines: Vaccine[] };
  tests: {
    negative: string[];
    positive: string[];
    nucleic_acid: { codes: string[]; max_h: number };
    antigen: { codes: string[]; max_h: number };
  };
  recovery: { from_d: number; to_d: number } | null;
}

export interface Vaccine {
  name: string;
  doses: number;
  eu: string[];
  cvx: string[];
}

/** Whether a genuine code lets its holder pass. */
export type Acceptance =
  | "foreign_accepted"
  | "foreign_positive"
  | "foreign_incomplete"
  | "foreign_too_recent"
  | "foreign_too_old"
  | "foreign_not_listed";

/** A positive test counts before everything else; then one accepted statement is enough. */
export function judge(rules: Rules, { proofs }: Certificate, now: number): Acceptance {
  const isPositive = (proof: Proof): boolean =>
    proof.kind === "test" && counts(rules, proof) && outcome(rules, proof.result) === "positive";
  if (proofs.some(isPositive)) return "foreign_positive";
  const judged = proofs.map((proof) => judgeProof(rules, proof, now));
  return judged.find((one) => one === "foreign_accepted") ?? judged[0] ?? "foreign_not_listed";
}

export function vaccineOf(rules: Rules, { system, code }: Dose): Vaccine | undefined {
  return rules.vaccination.vaccines.find((vaccine) => vaccine[system].includes(code));
}

export function testKind({ tests }: Rules, code: string): "nucleic_acid" | "antigen" | null {
  const has = (kind: "nucleic_acid" | "antigen"): boolean => tests[kind].codes.includes(code);
  return has("nucleic_acid") ? "nucleic_acid" : has("antigen") ? "antigen" : null;
}

export function outcome({ tests }: Rules, code: string): "positive" | "negative" | null {
  return tests.positive.includes(code) ? "positive" : tests.negative.includes(code) ? "negative" : null;
}

/** The doses of vaccines that are listed. */
export function listedDoses(rules: Rules, vaccination: Vaccination): Dose[] {
  return counts(rules, vaccination) ? vaccination.doses.filter((dose) => vaccineOf(rules, dose)) : [];
}

/** The last of several; of one day the one that is named last. */
export function lastDose(doses: Dose[]): Dose | null {
  return doses.reduce<Dose | null>((last, dose) => (last === null || dose.givenOn >= last.givenOn ? dose : last), null);
}

/**
 * Whether the code proves a negative nucleic-acid test no older than so many hours, for a checkpoint that requires one;
 * else why not.
 */
export function provesTest(
  rules: Rules,
  { proofs }: Certificate,
  withinH: number,
  now: number,
): null | "test_too_old" | "test_required" {
  const isNegative = (test: TestResult): boolean =>
    counts(rules, test) && testKind(rules, test.test) === "nucleic_acid" && outcome(rules, test.result) === "negative";
  const sampled = proofs.flatMap((proof) => (proof.kind === "test" && isNegative(proof) ? [proof.sampledAt] : []));
  if (sampled.length === 0) return "test_required";
  return now - Math.max(...sampled) <= withinH * HOUR_MS ? null : "test_too_old";
}

/** Whether the disease counts; without one, the vaccine or test names it. */
const counts = (rules: Rules, { disease }: Proof): boolean => disease === null || rules.diseases.includes(disease);

function judgeProof(rules: Rules, proof: Proof, now: number): Acceptance {
  switch (proof.kind) {
    case "vaccination":
      return judgeVaccination(rules, proof, now);
    case "test":
      return judgeTest(rules, proof, now);
    case "recovery":
      return judgeRecovery(rules, proof, now);
  }
}

function judgeVaccination(rules: Rules, vaccination: Vaccination, now: number): Acceptance {
  const doses = listedDoses(rules, vaccination);
  const last = lastDose(doses);
  if (last === null) return "foreign_not_listed";
  // Two doses of one day are one dose, stated twice.
  const number = vaccination.number ?? new Set(doses.map(({ givenOn }) => givenOn)).size;
  // A course of several vaccines is complete when it is so by the one with the most doses.
  const needed = Math.max(vaccination.series ?? 0, ...doses.map((dose) => vaccineOf(rules, dose)!.doses));
  if (number < needed) return "foreign_incomplete";
  const { from_d, booster_from_d, to_d } = rules.vaccination;
  return judgeDays(last.givenOn, number > needed ? booster_from_d : from_d, to_d, now);
}

function judgeTest(rules: Rules, test: TestResult, now: number): Acceptance {
  const kind = testKind(rules, test.test);
  if (kind === null || !counts(rules, test) || outcome(rules, test.result) !== "negative") return "foreign_not_listed";
  if (test.sampledAt > now + CLOCK_SKEW_MS) return "foreign_too_recent";
  return now - test.sampledAt > rules.tests[kind].max_h * HOUR_MS ? "foreign_too_old" : "foreign_accepted";
}

function judgeRecovery(rules: Rules, recovery: Recovery, now: number): Acceptance {
  if (rules.recovery === null || !counts(rules, recovery)) return "foreign_not_listed";
  const today = Math.floor(now / DAY_MS);
  if (today < recovery.validFrom) return "foreign_too_recent";
  if (today > recovery.validUntil) return "foreign_too_old";
  return judgeDays(recovery.firstPositiveOn, rules.recovery.from_d, rules.recovery.to_d, now);
}

/** Compares the days since a date with a range. Days are those of UTC. */
function judgeDays(since: number, fromD: number, toD: number, now: number): Acceptance {
  const days = Math.floor(now / DAY_MS) - since;
  return days < fromD ? "foreign_too_recent" : days > toD ? "foreign_too_old" : "foreign_accepted";
}
