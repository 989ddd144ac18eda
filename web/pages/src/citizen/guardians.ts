/** Who may show the citizen's code: the list, and the invitation that makes another one a guardian. */
import { RefusedError, requestJson, requestText } from "../shared/api.ts";
import { byId, make, setText } from "../shared/dom.ts";
import { agencyName } from "../shared/guidance.ts";
import { date, minuteTime, now } from "../shared/time.ts";
import type { Guardian, Guardians, Invitation, Ward } from "../shared/types.ts";
import { EndableList } from "./endable-list.ts";
import { by, type Session } from "./presenter.ts";
import { qrCode } from "./qr.ts";
import { t } from "./text.ts";

let list: EndableList<Guardian>;
let invitation: Invitation | null = null;
let isCopied = false;

export function setUpGuardians(current: () => Session | null): void {
  list = new EndableList<Guardian>({
    section: "guardians",
    list: "guardian-list",
    note: "guardians-note",
    none: "guardians_none",
    unread: "wards_unread",
    current,
    read: async (session) => (await requestJson<Guardians>("GET", "/v1/guardians", by(session))).guardians,
    end: async (session, { guardian }) => {
      await requestText("DELETE", `/v1/guardians/${guardian}`, by(session));
    },
    key: ({ guardian }) => guardian,
    line: (guardian) => make("span", "who", ...relation(guardian)),
  });
  byId("invite").addEventListener("click", () => void invite(current));
  byId("invitation-copy").addEventListener("click", () => void copy());
}

export function clearGuardians(): void {
  invitation = null;
  list.clear();
  drawInvitation();
}

export function drawGuardians(): void {
  list.draw();
  drawInvitation();
}

/** What is known of a guardianship: the other person, who stated it, until when. */
export function relation({ name, document, since, until, agency }: Omit<Ward, "ward">): Node[] {
  const facts = [t("phone_since", date(since))];
  if (until !== null) facts.push(t("relation_until", date(until)));
  if (agency !== null) facts.push(agencyName(agency));
  const who = make("bdi", "", name ?? t("no_name"));
  return [who, make("small", "quiet", make("bdi", "", document ?? ""), " ", facts.join(" · "))];
}

/** An invitation that has expired leaves the screen. To be called each second. */
export function drawInvitation(): void {
  if (invitation !== null && Date.parse(invitation.expires_at) <= now()) invitation = null;
  const [box, text] = [byId("invitation"), invitation?.invitation ?? ""];
  box.hidden = invitation === null;
  const until = invitation && minuteTime(Date.parse(invitation.expires_at));
  setText(byId("invitation-until"), until === null ? "" : t("invitation_until", until));
  setText(byId("invitation-copy"), t(isCopied ? "copied" : "invitation_copy"));
  if (box.dataset["invitation"] === text) return;
  box.dataset["invitation"] = text;
  isCopied = false;
  setText(byId("invitation-text"), text);
  byId("invitation-qr").replaceChildren(...(text === "" ? [] : [qrCode(text)]));
}

async function invite(current: () => Session | null): Promise<void> {
  const session = current();
  const button = byId<HTMLButtonElement>("invite");
  if (!session) return;
  button.disabled = true;
  const path = "/v1/guardians/invitations";
  const answer = await requestJson<Invitation>("POST", path, by(session)).catch((error: unknown) =>
    error instanceof RefusedError && error.status === 429 ? ("wards_often" as const) : ("invitation_failed" as const),
  );
  button.disabled = false;
  if (current() !== session) return;
  if (typeof answer === "string") return list.say(answer);
  invitation = answer;
  drawInvitation();
}

/** If the browser refuses, the text can be selected. */
async function copy(): Promise<void> {
  if (invitation === null) return;
  isCopied = (await navigator.clipboard?.writeText(invitation.invitation).then(() => true, () => false)) === true;
  drawInvitation();
}
