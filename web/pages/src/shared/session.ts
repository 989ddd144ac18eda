import { get, Refused } from "./api.ts";
import type { DemoPeople, DemoPerson, NewSession } from "./types.ts";

export type Role = "citizen" | "checkpoint";

/** The sealed session token of one role, kept for this tab only, so that a reload does not sign out. */
export class SessionStore {
  readonly #key: string;

  constructor(role: Role) {
    this.#key = `yima.session.${role}`;
  }

  lookup(): string | null {
    return sessionStorage.getItem(this.#key);
  }

  /** When it ends by this device's clock, in ms since 1970; NaN if that is not known. */
  lookupEnd(): number {
    return Number(sessionStorage.getItem(`${this.#key}.end`) ?? NaN);
  }

  keep(token: string, endsAt = NaN): void {
    sessionStorage.setItem(this.#key, token);
    sessionStorage.setItem(`${this.#key}.end`, String(endsAt));
  }

  /** Nothing of whoever signed out stays in the tab, not even how they liked the page. */
  forget(): void {
    sessionStorage.clear();
  }
}

/** The demo's people, or null when this is no demo and the city's identity provider signs people in. */
export async function lookupDemoPeople(): Promise<DemoPerson[] | null> {
  try {
    return (await get<DemoPeople>("GET", "/demo/people")).people;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

const DEMO = "yima.demo";

/** Whether this tab signed in with the demo's identity provider. */
export function isDemo(): boolean {
  return sessionStorage.getItem(DEMO) !== null;
}

/** What an identity token says, as far as it can be read; the service checks it, the page only tells people. */
export function claims(token: string): Record<string, unknown> {
  try {
    const payload = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The token is not of somebody whom this page is for. */
export class OtherRole extends Error {}

const SCOPE: Record<Role, string> = { citizen: "display", checkpoint: "scan" };

/** An identity token, exchanged once for a session. */
export async function exchange(token: string, role: Role): Promise<NewSession> {
  const { scope } = claims(token);
  if (typeof scope === "string" && !scope.split(" ").includes(SCOPE[role])) throw new OtherRole();
  return get<NewSession>("POST", "/v1/sessions", { bearer: token });
}

/** The same with a token of the demo's identity provider. */
export async function signInDemo(who: { role: Role; person?: number }): Promise<NewSession> {
  sessionStorage.setItem(DEMO, "yes");
  const { token } = await get<{ token: string }>("POST", "/demo/token", { body: who });
  return exchange(token, who.role);
}
