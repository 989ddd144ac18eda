/** The FHIR R4 Bundle of a card: one Patient with Immunizations and Observations. Other resources are ignored. */
import { expect } from "../code/cbor.ts";
import { list, optional, record, text, type Json, type JsonRecord } from "./json.ts";
import { born, code, day, name, RefusedCode, time, type Dose, type Proof, type TestResult } from "./statement.ts";

const MAX_ENTRIES = 64;
const CVX = "http://hl7.org/fhir/sid/cvx";
const LOINC = "http://loinc.org";
const SNOMED_CT = "http://snomed.info/sct";

export interface Content {
  name: string;
  born: string | null;
  proofs: Proof[];
}

interface Patient {
  url: string;
  names: { text: string | null; family: string | null; given: string[] }[];
  born: string | null;
}

/** The codes of a CodeableConcept, each with its system. */
type Concept = [system: string | null, code: string | null][];

export interface Entry {
  url: string | null;
  resource: Json;
}

/** The entries of a Bundle. */
export function readEntries(bundle: JsonRecord): Entry[] {
  return (bundle["entry"] === undefined ? [] : list(bundle["entry"])).map((entry) => {
    const { fullUrl, resource } = record(entry);
    expect(resource !== undefined);
    return { url: optional(fullUrl, text), resource };
  });
}

/** What the resources state about the Patient. */
export function readResources(entries: Entry[]): Content {
  if (entries.length > MAX_ENTRIES) throw new RefusedCode("foreign_unsupported");
  const patients: Patient[] = [];
  const doses: { person: string; read: () => Dose | null }[] = [];
  const tests: { person: string; read: () => TestResult | null }[] = [];
  for (const { url, resource } of entries) {
    const type = text(record(resource)["resourceType"]);
    if (type === "Patient") patients.push(patient(url, record(resource)));
    if (type === "Immunization") doses.push(immunization(record(resource)));
    if (type === "Observation") tests.push(observation(record(resource)));
  }
  const one = patients[0];
  expect(one !== undefined);
  if (patients.length > 1) throw new RefusedCode("foreign_unsupported");
  expect([...doses, ...tests].every(({ person }) => person === one.url));
  const given = doses.map(({ read }) => read()).filter((dose) => dose !== null);
  const proofs: Proof[] = tests.map(({ read }) => read()).filter((test) => test !== null);
  if (given.length > 0) proofs.push({ kind: "vaccination", disease: null, doses: given, number: null, series: null });
  if (proofs.length === 0) throw new RefusedCode("foreign_unsupported");
  const date = born(one.born ?? "");
  const called = one.names[0];
  expect(called !== undefined);
  const parts = called.text === null ? [...called.given, called.family ?? ""] : [called.text];
  return { name: name(parts), born: date, proofs };
}

function patient(url: string | null, resource: JsonRecord): Patient {
  expect(url !== null);
  const names = list(resource["name"]).map((item) => {
    const { text: whole, family, given } = record(item);
    return {
      text: optional(whole, text),
      family: optional(family, text),
      given: given === undefined ? [] : list(given).map(text),
    };
  });
  return { url, names, born: optional(resource["birthDate"], text) };
}

/** No dose: it was not given, or its vaccine has no CVX code. */
function immunization(resource: JsonRecord): { person: string; read: () => Dose | null } {
  const [status, vaccine] = [text(resource["status"]), concept(resource["vaccineCode"])];
  const [person, date] = [reference(resource["patient"]), text(resource["occurrenceDateTime"])];
  const cvx = codeOf(vaccine, CVX);
  const isGiven = status === "completed" && cvx !== null;
  return { person, read: () => (isGiven ? { system: "cvx", code: code(cvx), givenOn: day(date) } : null) };
}

/** No test: it is not final, or has no result in codes. */
function observation(resource: JsonRecord): { person: string; read: () => TestResult | null } {
  const [status, type] = [text(resource["status"]), codeOf(concept(resource["code"]), LOINC)];
  const [person, at] = [reference(resource["subject"]), text(resource["effectiveDateTime"])];
  const result = codeOf(optional(resource["valueCodeableConcept"], concept) ?? [], SNOMED_CT);
  const isFinal = ["final", "amended", "corrected"].includes(status);
  const read = (): TestResult | null =>
    isFinal && type !== null && result !== null
      ? { kind: "test", disease: null, test: code(type), result: code(result), sampledAt: time(at) }
      : null;
  return { person, read };
}

const reference = (value: Json): string => text(record(value)["reference"]);

function concept(value: Json): Concept {
  const { coding } = record(value);
  return (coding === undefined ? [] : list(coding)).map((item) => {
    const { system, code } = record(item);
    return [optional(system, text), optional(code, text)];
  });
}

/** The code of the first coding of that system. */
const codeOf = (concept: Concept, system: string): string | null =>
  concept.find(([one]) => one === system)?.[1] ?? null;
