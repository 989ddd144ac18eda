import { Refused } from "./api.ts";
import { byId } from "./dom.ts";
import type { Word } from "./i18n.ts";
import { exchange, OtherRole, type Role } from "./session.ts";
import type { NewSession } from "./types.ts";

/** The form that takes what an identity provider gave somebody; the token does not stay in the field. */
export function takeToken(taken: (token: string) => void): void {
  const form = byId<HTMLFormElement>("token-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId<HTMLInputElement>("token").value.trim();
    form.reset();
    taken(token);
  });
}

/** Raised by each token and by whoever signs in or out: what an earlier one comes to signs nobody in. */
let turn = 0;

/** The same where a session is wanted: hands over one of `role`, or why there is none. */
export function takeSession(role: Role, signedIn: (session: NewSession) => void, failed: (why: Word) => void): void {
  takeToken((token) => {
    const mine = ++turn;
    const last = <T>(then: (what: T) => void) => (what: T): void => void (mine === turn && then(what));
    exchange(token, role).then(last(signedIn), last((error: unknown) => failed(trouble(error))));
  });
}

/** A token that is being exchanged is nobody's any more. */
export function forgetToken(): void {
  turn += 1;
}

function trouble(error: unknown): Word {
  if (error instanceof OtherRole) return "token_other";
  return error instanceof Refused && error.sessionOver ? "token_refused" : "sign_in_failed";
}
