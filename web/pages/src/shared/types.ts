/** What the services send; times are RFC 3339 UTC. Unknown words of a later server are shown as they are. */

export type ColourCode = "green" | "yellow" | "red" | "none";

export interface Identity {
  name: string | null;
  /** Masked; null of somebody who is not known. */
  document: string | null;
}

export interface Colour {
  code: ColourCode;
  reason: string;
  since: string;
  until: string | null;
  agency: string | null;
}

export interface TestResult {
  test: string;
  result: string;
  sampled_at: string;
  agency: string;
}

export interface Vaccination {
  doses: number;
  complete: boolean;
  last_at: string | null;
}

/** `GET /v1/display`. Tests and vaccination are dropped first when the server is overloaded. */
export interface Display {
  version: number;
  identity: Identity;
  colour: Colour;
  tests?: TestResult[] | null;
  vaccination?: Vaccination | null;
  next_transition_at: string | null;
}

/** An event of `GET /v1/display/events`; without a display what is shown is still true. */
export interface Told {
  as_of: string;
  display?: Display;
}

/** `GET /v1/code`. */
export interface Code {
  code: string;
  expires_at: string;
}

/** `GET /v1/history`, newest first. */
export interface History {
  decisions: Decision[];
}

export interface Decision {
  colour: ColourCode;
  reason: string;
  words: string;
  agency: string | null;
  from: string;
  until: string | null;
  state: "past" | "in_force" | "to_come";
}

/** `POST /v1/scan`. */
export interface Scan {
  verdict: "pass" | "check" | "stop";
  reason: string;
  instruction: string;
  identity: Identity | null;
  colour: Colour | null;
  tests?: TestResult[] | null;
  vaccination?: Vaccination | null;
  as_of: string | null;
}

/** `POST /v1/sessions`. */
export interface NewSession {
  session: string;
  expires_at: string;
}

/** RFC 9457, as far as pages show it. */
export interface Problem {
  /** A URI that ends in what kind of problem it is. */
  type: string;
  status: number;
  title: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
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
