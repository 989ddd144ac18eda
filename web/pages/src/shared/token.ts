/** The form that signs in with an identity provider's token. */
import { RefusedError } from "./api.ts";
import { byId } from "./dom.ts";
import type { Word } from "./i18n.ts";
import { exchangeToken, WrongRoleError, type Role } from "./session.ts";
import type { NewSession } from "./types.ts";

/** Calls `submitted` with each token entered in the form, and empties the field. */
export function onToken(submitted: (token: string) => void): void {
  const form = byId<HTMLFormElement>("token-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId<HTMLInputElement>("token").value.trim();
    form.reset();
    submitted(token);
  });
}

/** Raised by each token and by each sign-in or sign-out: the result of an earlier exchange is then ignored. */
let latestExchange = 0;

/** Exchanges each token entered in the form for a session of `role`. */
export function onSession(role: Role, signedIn: (session: NewSession) => void, failed: (reason: Word) => void): void {
  onToken((token) => {
    const exchange = ++latestExchange;
    const ifLatest = <T>(then: (result: T) => void) => (result: T): void =>
      void (exchange === latestExchange && then(result));
    exchangeToken(token, role, () => exchange === latestExchange).then(ifLatest(signedIn), ifLatest((error: unknown) => failed(wordFor(error))));
  });
}

/** Ignores the result of an exchange that is still running. */
export function cancelExchange(): void {
  latestExchange += 1;
}

function wordFor(error: unknown): Word {
  if (error instanceof WrongRoleError) return "token_other";
  return error instanceof RefusedError && error.sessionOver ? "token_refused" : "sign_in_failed";
}
