/** What the deployment tells citizens about reasons and agencies (`GET /v1/guidance`). */
import { requestJson } from "./api.ts";
import { lang, lookup } from "./i18n.ts";
import { Poller } from "./poller.ts";
import type { Colour, Guidance } from "./types.ts";

const RENEW_MS = 3_600_000;
/** Pages that wake together do not ask together. */
const WAKE_MS = 60_000;

let guidance: Guidance | null = null;
let poller: Poller | null = null;
let revision = 0;

/** Requests the guidance, once for all callers, and keeps it current. Until it arrives pages use their own words. */
export function keepGuidance(changed: () => void): void {
  poller ??= new Poller(
    async () => {
      guidance = await requestJson<Guidance>("GET", "/v1/guidance", { cache: "default" });
      revision += 1;
      changed();
      return RENEW_MS;
    },
    { failed: () => undefined, sessionOver: () => undefined, wakeMs: () => Math.random() * WAKE_MS },
  );
}

/** Raised when the guidance changes. */
export function guidanceRevision(): number {
  return revision;
}

/** A reason's name. One that nobody named is shown as the rules write it, with spaces. */
export function reasonName(reason: string): string {
  return member(guidance?.reasons, reason)?.name[lang()] ?? lookup("reason", reason) ?? reason.replaceAll("_", " ");
}

/** What a person with this colour has to do. */
export function stepsOf({ code, reason }: Colour): string[] {
  const steps = member(guidance?.reasons, reason)?.steps[code] ?? guidance?.colours[code];
  return steps?.[lang()] ?? [];
}

export function agencyName(agency: string): string {
  return member(guidance?.agencies, agency)?.name[lang()] ?? agency;
}

/** The number to call about a decision of this agency, or of none; null until the guidance arrives. */
export function telephoneOf(agency: string | null): string | null {
  const own = agency === null ? null : member(guidance?.agencies, agency)?.telephone;
  return own ?? guidance?.hotline ?? null;
}

/** The member of that name, which comes from the service and may be that of a built-in one. */
function member<T>(all: Record<string, T> | undefined, name: string): T | undefined {
  return all && Object.hasOwn(all, name) ? all[name] : undefined;
}
