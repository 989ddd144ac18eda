/** Sessions: where the tab keeps them, and how a token is exchanged for one. */
import { RefusedError, requestJson, requestText } from "./api.ts";
import { byId, setText } from "./dom.ts";
import { inLine, placeText, type Place } from "./line.ts";
import type { Checkpoint, DemoPeople, DemoPerson, NewSession } from "./types.ts";

export type Role = "citizen" | "checkpoint";

/**
 * The sealed session token of one role, or an agency's identity token, in this tab only, so that a reload does not
 * sign out.
 */
export class SessionStore {
  readonly #key: string;

  constructor(role: Role | "agency") {
    this.#key = `yima.session.${role}`;
    // "Back" may show the page as it was left, with what was on it, although the tab has signed out since.
    let left: string | null = null;
    addEventListener("pagehide", () => (left = this.lookup()));
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted && this.lookup() !== left) location.reload();
    });
  }

  lookup(): string | null {
    return sessionStorage.getItem(this.#key);
  }

  /** The end of the session in ms since 1970 by this device's clock; NaN if unknown. */
  lookupEnd(): number {
    return Number(sessionStorage.getItem(`${this.#key}.end`) ?? NaN);
  }

  /** The checkpoint that the session is of; null if unknown. */
  lookupCheckpoint(): Checkpoint | null {
    return JSON.parse(sessionStorage.getItem(`${this.#key}.of`) ?? "null") as Checkpoint | null;
  }

  save(token: string, endsAt = NaN, checkpoint: Checkpoint | null = null): void {
    sessionStorage.setItem(this.#key, token);
    sessionStorage.setItem(`${this.#key}.end`, String(endsAt));
    sessionStorage.setItem(`${this.#key}.of`, JSON.stringify(checkpoint));
  }

  /** Removes the session, which is kept elsewhere. */
  remove(): void {
    for (const name of ["", ".end", ".of"]) sessionStorage.removeItem(this.#key + name);
  }

  /** Removes all that the tab stores, display preferences included: a sign-out leaves no trace. */
  clear(): void {
    sessionStorage.clear();
  }
}

/** The demo's people; null without a demo, where the city's identity provider signs people in. */
export async function lookupDemoPeople(): Promise<DemoPerson[] | null> {
  try {
    return (await requestJson<DemoPeople>("GET", "/demo/people")).people;
  } catch (error) {
    if (error instanceof RefusedError && error.status === 404) return null;
    throw error;
  }
}

const DEMO = "yima.demo";

/** Whether this tab signed in with the demo's identity provider. */
export function isDemo(): boolean {
  return sessionStorage.getItem(DEMO) !== null;
}

/** The claims of an identity token, unverified; {} if it cannot be parsed. Only for messages: the service verifies. */
export function parseClaims(token: string): Record<string, unknown> {
  try {
    const payload = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The token lacks the scope that this page needs. */
export class WrongRoleError extends Error {}

const SCOPES: Record<Role, readonly string[]> = {
  citizen: ["display"],
  checkpoint: ["scan", "scan:turnstile", "scan:hospital"],
};

/** Exchanges an identity token for a session. While many sign in, waits in line as long as `isWanted`. */
export async function exchangeToken(token: string, role: Role, isWanted = () => true): Promise<NewSession> {
  const { scope } = parseClaims(token);
  if (typeof scope === "string" && !scope.split(" ").some((word) => SCOPES[role].includes(word))) throw new WrongRoleError();
  const line = byId("line");
  const show = (place: Place | null): void => {
    line.hidden = place === null;
    setText(line, place === null ? "" : placeText(place));
  };
  const exchange = (headers: Record<string, string>): Promise<NewSession> =>
    requestJson<NewSession>("POST", "/v1/sessions", { bearer: token, headers });
  return inLine(exchange, show, isWanted).finally(() => show(null));
}

/** Exchanges a token of the demo's identity provider for a session. */
export async function signInDemo(identity: { role: Role; person?: number }): Promise<NewSession> {
  sessionStorage.setItem(DEMO, "yes");
  const { token } = await requestJson<{ token: string }>("POST", "/demo/token", { body: identity });
  return exchangeToken(token, identity.role);
}

/** Ends every session of a citizen at the service, this one included. */
export async function endAllSessions(session: string): Promise<void> {
  await requestText("DELETE", "/v1/sessions", { bearer: session });
}

/** Ends a citizen's session at the service, so that nobody else can use it. A session that is over already is fine. */
export async function endSession(session: string): Promise<void> {
  try {
    await requestText("DELETE", "/v1/sessions/current", { bearer: session });
  } catch (error) {
    if (!(error instanceof RefusedError && error.sessionOver)) throw error;
  }
}
