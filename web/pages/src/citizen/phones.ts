/** Phones at the service: registering, listing and ending them, and their tokens. */
import { isProblem, requestJson, requestText } from "../shared/api.ts";
import { decodeBase64Url, encodeBase64Url } from "../shared/base64url.ts";
import { now, observeServerClock } from "../shared/time.ts";
import type { NewPhone, Phones, Tokens } from "../shared/types.ts";
import { importSecret, newTokenKey } from "../code/show.ts";
import type { Batch, Kept } from "./kept.ts";
import { by, isNotAGuardian, type Presenter } from "./presenter.ts";

/** A batch covers a day with so many tokens: one a slot of six hours, and one for the part of a slot at each end. */
const BATCH_TOKENS = 5;

export function listPhones(presenter: Presenter): Promise<Phones> {
  return requestJson<Phones>("GET", "/v1/phones", by(presenter));
}

export function startPhone(presenter: Presenter, name: string): Promise<NewPhone> {
  return requestJson<NewPhone>("POST", "/v1/phones", { ...by(presenter), body: { name } });
}

/** Ends a phone, so that its codes are refused. One that is over already is fine. */
export async function endPhone(presenter: Presenter, id: string): Promise<void> {
  try {
    await requestText("DELETE", `/v1/phones/${id}`, by(presenter));
  } catch (error) {
    if (!isUnknownPhone(error) && !isNotAGuardian(error)) throw error;
  }
}

/**
 * Tokens for the next day, each with a new key. `etag`: of the display, whose version they are of, or a newer one.
 * `until`: when the tokens before end, in ms since 1970; a busy server gives new ones first to phones without.
 */
export async function fetchBatch(
  { phone, freshness }: Pick<Kept, "phone" | "freshness">,
  presenter: Presenter,
  { etag, version, until }: { etag: string | null; version: number; until: number | null },
): Promise<Batch> {
  const keys = await Promise.all(Array.from({ length: BATCH_TOKENS }, newTokenKey));
  const headers: Record<string, string> = {
    "yima-phone": phone,
    "yima-token-keys": keys.map(({ point }) => encodeBase64Url(point)).join(),
  };
  if (until !== null) headers["yima-tokens-until"] = new Date(until).toISOString();
  if (freshness !== null) headers["yima-at-least-as-fresh"] = freshness;
  const answer = await requestJson<Tokens>("GET", "/v1/tokens", { ...by(presenter), etag, headers });
  observeServerClock(answer.now, 0);
  const tokens = answer.tokens.map(async ({ token, secret }, n) => {
    return { text: token, key: keys[n]!.key, secret: await importSecret(decodeBase64Url(secret)) };
  });
  return { tokens: await Promise.all(tokens), fetchedAt: now(), refreshAt: Date.parse(answer.refresh_at), version };
}

/** The service does not know the phone: it was ended. */
export function isUnknownPhone(error: unknown): boolean {
  return isProblem(error, "unknown-phone");
}

/** The person has as many phones as are allowed. */
export function isTooManyPhones(error: unknown): boolean {
  return isProblem(error, "too-many-phones");
}
