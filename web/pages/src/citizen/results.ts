/** Tests and vaccination on their own, for when a busy server leaves them out of displays. */
import { requestJson } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import { testLines, vaccinationLines } from "../shared/facts.ts";
import { t } from "../shared/i18n.ts";
import type { Results } from "../shared/types.ts";
import { by, type Presenter } from "./presenter.ts";

/** null while they are awaited or cannot be had. */
let results: Results | null = null;
let failed = false;
/** Raised by each request and by each clearing: an answer to an earlier request is not drawn. */
let latestRequest = 0;

/** Whose results, and the display's ETag: the floor of their version. */
export interface ResultsRequest {
  presenter: Presenter;
  etag: string | null;
}

/** Requests the results only when their section is opened, and nothing of an earlier one stays. */
export function setUpResults(current: () => ResultsRequest | null): void {
  byId("results").addEventListener("toggle", () => void fetchResults(current()));
}

export function clearResults(): void {
  drop();
  byId<HTMLDetailsElement>("results").open = false;
}

function drop(): void {
  latestRequest += 1;
  results = null;
  failed = false;
  drawResults();
}

export function drawResults(): void {
  const list = byId("results-list");
  if (results === null) list.replaceChildren(make("p", "quiet", t(failed ? "no_history_now" : "waiting")));
  else list.replaceChildren(...testLines(results.tests, Infinity), ...vaccinationLines(results.vaccination));
}

async function fetchResults(request: ResultsRequest | null): Promise<void> {
  drop();
  if (request === null || !byId<HTMLDetailsElement>("results").open) return;
  const number = latestRequest;
  const { presenter, etag } = request;
  const answer = await requestJson<Results>("GET", "/v1/results", { ...by(presenter), etag }).catch(() => null);
  // Results must not appear on another citizen's page.
  if (number !== latestRequest) return;
  results = answer;
  failed = answer === null;
  drawResults();
}
