/** Sign-in at the identity provider's own page: it leads away, and back with a session that the browser keeps. */
import { requestJson } from "./api.ts";
import { byId } from "./dom.ts";

type Page = "citizen" | "checkpoint" | "agency";

interface Kept<S> {
  /** Whether people sign in at the provider's page. */
  offered: boolean;
  session: S | null;
}

/** That this tab was led away to sign in. */
const LED_AWAY = "yima.led-away";

/** Whether the tab comes back from the provider: then the session that the browser keeps is the newest. */
export function comesBack(): boolean {
  const isBack = sessionStorage.getItem(LED_AWAY) !== null;
  sessionStorage.removeItem(LED_AWAY);
  return isBack;
}

/** The session that the browser keeps for the page, in a cookie; null without one, or without an answer. */
export async function lookupKeptSession<S>(page: Page): Promise<S | null> {
  return (await ask<S>(page))?.session ?? null;
}

/** Shows the button that leads to the provider in place of the form for a token, where that is offered. */
export async function offerRedirect(page: Page): Promise<void> {
  const offered = (await ask(page))?.offered === true;
  byId("redirect").hidden = !offered;
  byId("by-token").hidden = offered;
}

/** Connects that button. */
export function connectRedirect(page: Page): void {
  byId("redirect").addEventListener("click", () => {
    sessionStorage.setItem(LED_AWAY, "yes");
    location.assign(`/sign-in?page=${page}`);
  });
}

/** Has the browser forget a session that is over; then leads to the provider's own sign-out, if the session is its. */
export async function leaveProvider(session: string): Promise<void> {
  const { location: next } = await requestJson<{ location: string | null }>("POST", "/sign-out", {
    bearer: session,
    cookies: true,
  });
  if (next !== null) location.assign(next);
}

function ask<S>(page: Page): Promise<Kept<S> | null> {
  return requestJson<Kept<S>>("GET", `/sign-in/${page}`, { cookies: true }).catch(() => null);
}
