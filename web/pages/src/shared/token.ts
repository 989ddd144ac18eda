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

/** The same where a session is wanted: hands over one of `role`, or why there is none. */
export function takeSession(role: Role, signedIn: (session: NewSession) => void, failed: (why: Word) => void): void {
  takeToken((token) => void exchange(token, role).then(signedIn, (error: unknown) => failed(trouble(error))));
}

function trouble(error: unknown): Word {
  if (error instanceof OtherRole) return "token_other";
  return error instanceof Refused && error.sessionOver ? "token_refused" : "sign_in_failed";
}
