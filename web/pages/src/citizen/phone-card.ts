/** What the page says about this phone: whether it shows the code without a network, and the offer to do so. */
import { byId, setText } from "../shared/dom.ts";
import { minuteTime, now, serverClockOffset } from "../shared/time.ts";
import type { PhoneCodes } from "./phone-codes.ts";
import { proposeName } from "./phone-name.ts";
import { t, type CitizenWord } from "./text.ts";

/** Time without a network from which on the page warns. */
const SOON_MS = 3 * 3_600_000;
const DAY_MS = 24 * 3_600_000;
const CLOCK_MS = 60_000;

/** Why the browser cannot keep keys; null if it can, as far as is known. */
let fault: "insecure" | "no_storage" | null = globalThis.crypto?.subtle ? null : "insecure";

export function keepsNothing(): void {
  fault ??= "no_storage";
}

/** `keep` gets the name that the holder chose; `showEnded` goes on with a code after its end. */
export function setUpPhoneCard(keep: (name: string) => Promise<void>, showEnded: () => void): void {
  byId("show-ended").addEventListener("click", showEnded);
  const name = byId<HTMLInputElement>("phone-name");
  name.value = proposeName(navigator.userAgent);
  byId("keep-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const button = byId<HTMLButtonElement>("keep");
    button.disabled = true;
    void keep(name.value.trim()).finally(() => (button.disabled = false));
  });
}

interface PhoneState {
  /** null: this phone has no keys of the person. */
  phoneCodes: PhoneCodes | null;
  sessionEndsAt: number;
  /** What happened to the offer, or to the keys. */
  notice: CitizenWord | null;
}

export function drawPhoneCard({ phoneCodes, sessionEndsAt, notice }: PhoneState): void {
  byId("keep-form").hidden = phoneCodes !== null || fault !== null;
  byId("show-ended").hidden = phoneCodes?.showsEnded !== false;
  setText(byId("phone-notice"), notice === null ? "" : t(notice));
  setText(byId("phone-state"), phoneCodes === null ? withoutKeys() : withKeys(phoneCodes, sessionEndsAt));
}

function withoutKeys(): string {
  return t(fault === null ? "phone_online_only" : `phone_${fault}`);
}

function withKeys(codes: PhoneCodes, sessionEndsAt: number): string {
  const endsAt = codes.endsAt;
  const texts: string[] = [];
  if (endsAt === null) texts.push(t("phone_waiting"));
  else if (endsAt <= now()) texts.push(t(codes.showsEnded ? "phone_ended_code" : "code_ended", minuteTime(endsAt)));
  else texts.push(t(endsAt - now() < SOON_MS ? "phone_soon" : "phone_until", minuteTime(endsAt)));
  if (codes.unsaved) texts.push(t("phone_unsaved"));
  if (Math.abs(serverClockOffset()) >= CLOCK_MS) texts.push(t("phone_clock", Math.round(Math.abs(serverClockOffset()) / 60_000)));
  // Unknown for a session of an earlier page.
  if (sessionEndsAt > 0 && sessionEndsAt - now() < DAY_MS) texts.push(t("phone_signed_in", minuteTime(sessionEndsAt)));
  return texts.join("\n");
}
