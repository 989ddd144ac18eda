/**
 * Codes of other systems without a network. A bundle of its own, which the page loads when it holds lists to judge them
 * by. The same rules as in the service (`foreign/`); `tests/vectors/foreign-offline.json` holds for both.
 */
import { MalformedError, type Bytes } from "../code/cbor.ts";
import type { Foreign, Scan } from "../shared/types.ts";
import { judge, lastDose, listedDoses, outcome, provesTest, testKind, vaccineOf, type Rules } from "./acceptance.ts";
import { PREFIX as EU, readEuCode } from "./eu.ts";
import { decodeText } from "./item.ts";
import { parse } from "./json.ts";
import { readRevocations } from "./revocations.ts";
import { readSmartCode } from "./smart.ts";
import { dayText, RefusedCode, timeText, trim, type Certificate, type Refusal, type Vaccination } from "./statement.ts";
import { readTrustList, type Issuers } from "./trust.ts";

/** What an offline bundle has for codes of other systems, as bytes. */
export interface ForeignParts {
  trustList: Bytes;
  acceptance: Bytes;
  revocations: Bytes;
}

/** The same, read. */
export interface ForeignLists extends Issuers {
  rules: Rules;
}

/** Lists are read once. */
const opened = new WeakMap<ForeignParts, ForeignLists>();

/** null: they are of a later form. */
export function openLists(parts: ForeignParts): ForeignLists | null {
  const before = opened.get(parts);
  if (before) return before;
  try {
    const [trust, revoked] = [readTrustList(parts.trustList), readRevocations(parts.revocations)];
    const lists = { trust, revoked, rules: parse(decodeText(parts.acceptance)) as Rules };
    opened.set(parts, lists);
    return lists;
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

/** What a code proves at `now` (milliseconds since 1970), or why it proves nothing. */
export async function readForeign(code: string, issuers: Issuers, now: number): Promise<Certificate | Refusal> {
  const text = trim(code);
  try {
    return await (text.startsWith(EU) ? readEuCode : readSmartCode)(text, issuers, now);
  } catch (error) {
    if (error instanceof RefusedCode) return error.reason;
    if (error instanceof MalformedError) return "malformed";
    throw error;
  }
}

/** The verdict. `requireTestWithinH`: the checkpoint's policy. */
export async function judgeForeign(
  code: string,
  lists: ForeignLists,
  requireTestWithinH: number | null,
  now: number,
): Promise<Scan> {
  const [{ rules }, read] = [lists, await readForeign(code, lists, now)];
  const unknown = { instruction: "", identity: null, colour: null, as_of: null };
  if (typeof read === "string") return { verdict: read === "forged" ? "stop" : "check", reason: read, ...unknown };
  const judged = judge(rules, read, now);
  const lacks = requireTestWithinH === null ? null : provesTest(rules, read, requireTestWithinH, now);
  const reason = judged === "foreign_accepted" ? (lacks ?? judged) : judged;
  const identity = { name: read.name, document: null };
  return {
    ...unknown,
    verdict: reason === "foreign_accepted" ? "pass" : "check",
    reason,
    identity,
    foreign: shown(read, rules),
  };
}

function shown({ scheme, country, issuer, born, proofs }: Certificate, rules: Rules): Foreign {
  const stated = { vaccination: null, tests: [], recovery: null, acceptance_version: rules.version };
  const foreign: Foreign = { scheme, country, issuer, born, ...stated };
  const tests: { at: number; shown: Foreign["tests"][0] }[] = [];
  for (const proof of proofs) {
    if (proof.kind === "vaccination") foreign.vaccination = shownVaccination(proof, rules);
    else if (proof.kind === "test") {
      const at = proof.sampledAt;
      const [test, result] = [testKind(rules, proof.test), outcome(rules, proof.result)];
      tests.push({ at, shown: { test, result, sampled_at: timeText(at) } });
    } else {
      foreign.recovery = {
        first_positive_on: dayText(proof.firstPositiveOn),
        valid_from: dayText(proof.validFrom),
        valid_until: dayText(proof.validUntil),
      };
    }
  }
  foreign.tests = tests.sort((a, b) => b.at - a.at).map((test) => test.shown);
  return foreign;
}

/** null without a dose against the disease: a card may hold other vaccinations. */
function shownVaccination(vaccination: Vaccination, rules: Rules): Foreign["vaccination"] {
  const listed = listedDoses(rules, vaccination);
  // A code that counts its doses has this vaccination alone, listed or not.
  const alone = vaccination.number === null ? null : (vaccination.doses[0] ?? null);
  const last = lastDose(listed) ?? alone;
  if (last === null) return null;
  return {
    doses: vaccination.number ?? listed.length,
    of: vaccination.series,
    vaccine: vaccineOf(rules, last)?.name ?? last.code,
    last_on: dayText(last.givenOn),
  };
}
