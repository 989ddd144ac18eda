/** The content of an EU certificate, schema 1.0 to 1.3: one person and one statement. */
import { expect } from "../code/cbor.ts";
import { get, untagged, type Entries, type Item } from "./item.ts";
import { born, code, day, name, RefusedCode, time, type Proof } from "./statement.ts";

export interface Content {
  name: string;
  born: string | null;
  proof: Proof;
  /** The certificate's identifier, and the country that it names as its issuer's; empty if it has none. */
  uci: string;
  country: string;
}

export function readContent(item: Item): Content {
  const content = members(item);
  const [version, dob] = [text(content, "ver"), text(content, "dob")];
  const holder = members(get(content, "nam"));
  const [standardFamily, standardGiven] = [optionalText(holder, "fnt"), optionalText(holder, "gnt")];
  const [family, given] = [optionalText(holder, "fn"), optionalText(holder, "gn")];
  const statements = { v: entries(content, "v"), t: entries(content, "t"), r: entries(content, "r") };
  const raw = [...statements.v.map(vaccination), ...statements.t.map(test), ...statements.r.map(recovery)];
  if (!version.startsWith("1.")) throw new RefusedCode("foreign_unsupported");
  const [first, second] = raw;
  expect(first !== undefined);
  const proof = first();
  if (second) throw new RefusedCode("foreign_unsupported");
  // As a passport's machine-readable zone writes it: a guard compares it with that.
  const words = (part: string): string[] => part.replaceAll("<", " ").split(/\p{White_Space}+/u);
  const standard = [standardGiven, standardFamily].flatMap(words);
  const parts = standardGiven === "" && standardFamily === "" ? [given, family] : standard;
  const entry = [...statements.v, ...statements.t, ...statements.r][0];
  const [uci, country] = [optionalText(entry, "ci"), optionalText(entry, "co")];
  return { name: name(parts), born: born(dob), proof, uci, country };
}

/** A map of which all keys are texts. */
function members(item: Item | undefined): Entries {
  const map = untagged(item);
  expect(map instanceof Map && [...map.keys()].every((key) => typeof key === "string"));
  return map as Entries;
}

/** Each takes the entry's members, and reads their texts when it is called. */
function vaccination(entry: Item): () => Proof {
  const [disease, product, givenOn] = [text(entry, "tg"), text(entry, "mp"), text(entry, "dt")];
  const [number, series] = [byte(entry, "dn"), byte(entry, "sd")];
  return () => {
    expect(number > 0 && series > 0);
    const dose = { system: "eu" as const, code: code(product), givenOn: day(givenOn) };
    return { kind: "vaccination", disease: code(disease), doses: [dose], number, series };
  };
}

function test(entry: Item): () => Proof {
  const [disease, type] = [text(entry, "tg"), text(entry, "tt")];
  const [sampledAt, result] = [text(entry, "sc"), text(entry, "tr")];
  return () => ({
    kind: "test",
    disease: code(disease),
    test: code(type),
    result: code(result),
    sampledAt: time(sampledAt),
  });
}

function recovery(entry: Item): () => Proof {
  const [disease, first, from, until] = [text(entry, "tg"), text(entry, "fr"), text(entry, "df"), text(entry, "du")];
  return () => ({
    kind: "recovery",
    disease: code(disease),
    firstPositiveOn: day(first),
    validFrom: day(from),
    validUntil: day(until),
  });
}

const member = (map: Item | undefined, key: string): Item | undefined => untagged(get(untagged(map), key));

function text(map: Item, key: string): string {
  const found = member(map, key);
  expect(typeof found === "string");
  return found;
}

/** Empty if there is none. */
function optionalText(map: Item | undefined, key: string): string {
  const found = member(map, key) ?? "";
  expect(typeof found === "string");
  return found;
}

/** A number has no tag. */
function byte(map: Item, key: string): number {
  const found = get(untagged(map), key);
  expect(typeof found === "bigint" && found >= 0n && found <= 255n);
  return Number(found);
}

/** None if there is no list. */
function entries(map: Item, key: string): Item[] {
  const found = member(map, key) ?? [];
  expect(found instanceof Array);
  return found.map(members);
}
