/** Whose codes the citizen may show as a guardian: the list, and the form that redeems an invitation. */
import { isProblem, RefusedError, requestJson, requestText } from "../shared/api.ts";
import { byId, make } from "../shared/dom.ts";
import type { NewWard, Ward, Wards } from "../shared/types.ts";
import { EndableList } from "./endable-list.ts";
import { relation } from "./guardians.ts";
import { by, type Session } from "./presenter.ts";
import { t, type CitizenWord } from "./text.ts";

export interface WardsListener {
  /** The citizen, while they show their own code. */
  current(): Session | null;
  /** The citizen wants to show this person's code. */
  show(ward: Ward, freshness?: string): void;
  /** The guardianship was given up. */
  ended(ward: Ward): void;
}

let list: EndableList<Ward>;

export function setUpWards({ current, show, ended }: WardsListener): void {
  list = new EndableList<Ward>({
    section: "wards",
    list: "ward-list",
    note: "wards-note",
    none: "wards_none",
    unread: "wards_unread",
    current,
    read: async (session) => (await requestJson<Wards>("GET", "/v1/wards", by(session))).wards,
    end: async (session, ward) => {
      await requestText("DELETE", `/v1/wards/${ward.ward}`, by(session));
      ended(ward);
    },
    key: ({ ward }) => ward,
    line: (ward) => {
      const button = make("button", "plain who", ...relation(ward));
      button.type = "button";
      button.dataset["ward"] = ward.ward;
      button.setAttribute("aria-label", t("ward_show", ward.name ?? t("no_name")));
      button.addEventListener("click", () => show(ward));
      return button;
    },
  });
  byId("ward-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void redeem({ current, show });
  });
}

export function clearWards(): void {
  list.clear();
  byId<HTMLInputElement>("ward-invitation").value = "";
}

export function drawWards(): void {
  list.draw();
}

/** Shows the new ward's code at once. */
async function redeem({ current, show }: Pick<WardsListener, "current" | "show">): Promise<void> {
  const [session, input] = [current(), byId<HTMLInputElement>("ward-invitation")];
  const invitation = input.value.replace(/\s/g, "");
  if (!session) return;
  if (invitation === "") {
    list.say("invitation_wrong");
    return input.focus();
  }
  list.say("waiting_paper");
  const options = { ...by(session), body: { invitation } };
  const outcome = await requestJson<NewWard>("POST", "/v1/wards", options).catch(refusal);
  if (current() !== session) return;
  if (typeof outcome === "string") {
    list.say(outcome);
    return input.focus();
  }
  input.value = "";
  show(outcome, outcome.freshness);
}

function refusal(error: unknown): CitizenWord {
  if (isProblem(error, "invitation-over")) return "invitation_over";
  if (isProblem(error, "too-many-guardianships")) return "wards_full";
  if (!(error instanceof RefusedError)) return "invitation_failed";
  return error.status === 400 ? "invitation_wrong" : error.status === 429 ? "wards_often" : "invitation_failed";
}
