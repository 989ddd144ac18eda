/** A code on paper: made by the service, printed by the browser, and revoked by its number. Nothing of it is kept. */
import { RefusedError, requestJson, requestText } from "../shared/api.ts";
import { byId, make, setText } from "../shared/dom.ts";
import { date } from "../shared/time.ts";
import type { Paper } from "../shared/types.ts";
import { by, type Presenter } from "./presenter.ts";
import { qrCode } from "./qr.ts";
import { t, type CitizenWord } from "./text.ts";

const DAY_MS = 86_400_000;

type Layout = "page" | "card";

let note: CitizenWord | null = null;
/** What the browser prints. */
let sheet: { paper: Paper; layout: Layout } | null = null;
let current: () => Presenter | null = () => null;

export function setUpPaper(presenter: () => Presenter | null): void {
  current = presenter;
  for (const layout of ["page", "card"] as const) {
    byId(`paper-${layout}`).addEventListener("click", () => void print(layout));
  }
  byId("paper-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void revoke();
  });
  addEventListener("afterprint", () => {
    sheet = null;
    drawPaper();
  });
}

export function clearPaper(): void {
  sheet = note = null;
  byId<HTMLInputElement>("paper-number").value = "";
  byId<HTMLDetailsElement>("paper").open = false;
  drawPaper();
}

export function drawPaper(): void {
  setText(byId("paper-note"), note ? t(note) : "");
  if (sheet) document.body.dataset["sheet"] = sheet.layout;
  else delete document.body.dataset["sheet"];
  byId("sheet").replaceChildren(...(sheet ? lines(sheet.paper) : []));
}

function say(word: CitizenWord | null): void {
  note = word;
  drawPaper();
}

async function print(layout: Layout): Promise<void> {
  const presenter = current();
  if (presenter === null) return;
  say("waiting_paper");
  const paper = await requestJson<Paper>("GET", "/v1/paper", by(presenter)).catch((error: unknown) => {
    say(error instanceof RefusedError && error.status === 429 ? "paper_too_many" : "paper_failed");
    return null;
  });
  // The person may have signed out meanwhile.
  if (!paper || current() !== presenter) return;
  sheet = { paper, layout };
  say(null);
  window.print();
}

/** The last day that is printed is one on which the code is valid to its end, in every time zone. */
function lines({ code, number, name, document: shown, expires_at }: Paper): Node[] {
  const lastDay = new Date(Date.parse(expires_at) - 2 * DAY_MS).toISOString();
  const who = make("p", "who", make("bdi", "", name ?? ""), " ", make("bdi", "", shown ?? ""));
  return [
    make("div", "sheet-qr", qrCode(code)),
    make(
      "div",
      "",
      make("h2", "", t("health_code")),
      who,
      make("p", "", t("paper_with_document")),
      make("p", "", t("paper_valid_to", date(lastDay))),
      make("p", "", t("paper_number_is"), " ", make("bdi", "", number.replace(/(.{4})(?=.)/g, "$1 "))),
    ),
  ];
}

async function revoke(): Promise<void> {
  const presenter = current();
  const input = byId<HTMLInputElement>("paper-number");
  const number = input.value.replace(/[\s-]/g, "").toLowerCase();
  if (presenter === null) return;
  if (!/^[0-9a-f]{16}$/.test(number)) {
    say("paper_number_wrong");
    return input.focus();
  }
  say("waiting_paper");
  const done = await requestText("DELETE", `/v1/papers/${number}`, by(presenter)).then(
    () => true,
    () => false,
  );
  if (current() !== presenter) return;
  if (done) input.value = "";
  say(done ? "paper_revoked" : "paper_revoke_failed");
}
