/**
 * The API's documents; times are RFC 3339 UTC. A later server may send words that are not listed here: the pages show
 * them untranslated.
 */

/** Every colour, once. Shapes and words are keyed by it, so a new colour without them does not compile. */
export const COLOURS = ["green", "yellow", "red", "none"] as const;
export type ColourCode = (typeof COLOURS)[number];

export const VERDICTS = ["pass", "check", "stop"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Whether `list` has the word, which may be of a later server. */
export function isOneOf<T extends string>(list: readonly T[], word: string): word is T {
  return (list as readonly string[]).includes(word);
}

export interface Identity {
  name: string | null;
  /** Masked; null for an unknown subject. */
  document: string | null;
}

export interface Colour {
  code: ColourCode;
  reason: string;
  /** null for a person without a record. */
  since: string | null;
  until: string | null;
  agency: string | null;
}

export interface TestResult {
  test: string;
  result: string;
  /** null for a guard, as the agency is. */
  sampled_at: string | null;
  agency: string | null;
}

export interface Vaccination {
  doses: number;
  complete: boolean;
  last_at: string | null;
}

/** `GET /v1/display`. An overloaded server omits tests and vaccination first. */
export interface Display {
  version: number;
  identity: Identity;
  colour: Colour;
  tests?: TestResult[] | null;
  vaccination?: Vaccination | null;
  next_transition_at: string | null;
}

/** The data of an event of `GET /v1/display/events`; without `display` the last version is still current. */
export interface LiveDisplayEvent {
  as_of: string;
  display?: Display;
  /** Regions whose newest events may be missing. */
  silent_regions?: string[];
}

/** `GET /v1/code`. */
export interface Code {
  code: string;
  expires_at: string;
}

/** A citizen's phone, as its holder named it. */
export interface Phone {
  id: string;
  name: string;
  started_at: string;
}

/** `POST /v1/phones`. */
export interface NewPhone extends Phone {
  freshness: string;
}

/** `GET /v1/phones`, the newest first. */
export interface Phones {
  phones: Phone[];
  /** How many there may be. */
  most: number;
}

/** A person whose code the citizen may show. */
export interface Ward {
  /** Names the person to the service; another text in each answer. */
  ward: string;
  name: string | null;
  document: string | null;
  since: string;
  /** null until one of the two, or the agency, ends it. */
  until: string | null;
  /** null if the two have agreed. */
  agency: string | null;
}

/** `POST /v1/wards`. */
export interface NewWard extends Ward {
  freshness?: string;
}

/** `GET /v1/wards`, the newest first. */
export interface Wards {
  wards: Ward[];
}

/** A person who may show the citizen's code. */
export interface Guardian extends Omit<Ward, "ward"> {
  guardian: string;
  /** How many of the guardian's phones show it without a network. */
  phones: number;
}

/** `GET /v1/guardians`, the newest first. */
export interface Guardians {
  guardians: Guardian[];
}

/** `POST /v1/guardians/invitations`. */
export interface Invitation {
  invitation: string;
  expires_at: string;
}

/** `GET /v1/tokens`, in the order of their times; bytes in base64url. */
export interface Tokens {
  now: string;
  tokens: { token: string; secret: string; valid_from: string; expires_at: string }[];
  refresh_at: string;
}

/** `GET /v1/results`. */
export interface Results {
  tests: TestResult[];
  vaccination: Vaccination;
}

/** `GET /v1/history`, newest first. */
export interface History {
  decisions: Decision[];
}

export type DecisionState = "past" | "in_force" | "to_come";

export interface Decision {
  colour: ColourCode;
  reason: string;
  words: string;
  agency: string | null;
  from: string;
  until: string | null;
  state: DecisionState;
}

/** A text in both languages. */
export interface Bilingual<T> {
  zh: T;
  en: T;
}

/** `GET /v1/guidance`: names and steps, by reason, colour and agency. */
export interface Guidance {
  hotline: string;
  colours: Partial<Record<ColourCode, Bilingual<string[]>>>;
  reasons: Record<string, { name: Bilingual<string>; steps: Partial<Record<ColourCode, Bilingual<string[]>>> }>;
  agencies: Record<string, { name: Bilingual<string>; telephone: string | null }>;
}

/** `GET /v1/paper`. */
export interface Paper {
  code: string;
  /** By which it is revoked: 16 hexadecimal digits. */
  number: string;
  name: string | null;
  document: string | null;
  expires_at: string;
}

/** `POST /v1/scan`. */
export interface Scan {
  verdict: Verdict;
  reason: string;
  instruction: string;
  /** A guardian shows the code of another person. */
  guardian?: boolean;
  identity: Identity | null;
  colour: Colour | null;
  tests?: TestResult[] | null;
  vaccination?: Vaccination | null;
  as_of: string | null;
  /** Of a code of another system, which has no colour. */
  foreign?: Foreign;
}

/** What another system's code proves. */
export interface Foreign {
  scheme: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
  issuer: string | null;
  /** `YYYY-MM-DD`, `YYYY-MM` or `YYYY`. */
  born: string | null;
  vaccination: { doses: number; of: number | null; vaccine: string; last_on: string } | null;
  tests: { test: string | null; result: string | null; sampled_at: string }[];
  /** Dates. */
  recovery: { first_positive_on: string; valid_from: string; valid_until: string } | null;
  /** Version of the acceptance rules that the verdict is by. */
  acceptance_version: number;
}

/** `POST /v1/sessions`. */
export interface NewSession {
  session: string;
  expires_at: string;
  /** Of a checkpoint's session. */
  checkpoint?: Checkpoint;
}

export interface Checkpoint {
  name: string;
  /** Its policy: a negative nucleic-acid test at most this old; null: no test. */
  require_test_within_h: number | null;
  looks_up_documents: boolean;
  /** What it is shown of the people: nothing, all but the times of tests, all. */
  role?: "turnstile" | "guard" | "hospital";
}

/** A problem document (RFC 9457), the members that the pages use. */
export interface Problem {
  /** A URI whose last segment names the problem type. */
  type: string;
  status: number;
  title: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
  /** A place in line. */
  waiting?: { ticket: string; place: number; expected_at: string };
}

/** `GET /demo/people`; exists only in the demo. */
export interface DemoPeople {
  people: DemoPerson[];
}

export interface DemoPerson {
  person: number;
  name: string;
  document_type: string;
  document_number: string;
  about: string;
}
