import { get, Refused } from "../shared/api.ts";
import { byId, say } from "../shared/dom.ts";
import { refusal, TIMEOUT_MS, type RowAnswer } from "./upload.ts";
import type { Speak } from "./words.ts";

const FAULT_AT: Record<string, string> = {
  "/id": "fault-id",
  "/subject/document_number": "fault-number",
  "/data/result": "fault-result",
  "/occurred_at": "fault-time",
};

/** The form for one result. `token` is read when it is sent. */
export function single(token: () => string | null, t: Speak, tokenOver: (used: string) => void) {
  const form = byId<HTMLFormElement>("single");
  const field = (id: string) => byId<HTMLInputElement | HTMLSelectElement>(id);
  const button = form.querySelector<HTMLButtonElement>("button[type=submit]")!;
  /** Raised when the form is cleared: an answer that comes later is nothing to whoever uses it then. */
  let turn = 0;
  let status: { status: string; words: () => string } = { status: "", words: () => "" };

  const redraw = (): void => {
    const element = byId("single-status");
    element.dataset["status"] = status.status;
    say(element, status.words());
  };
  const told = (now: string, words: () => string): void => {
    status = { status: now, words };
    redraw();
  };
  /** Faults beside their fields; what has no field of its own is said below. */
  const mark = (faults: { pointer: string; detail: string }[]): string[] => {
    for (const id of Object.values(FAULT_AT)) say(byId(id), "");
    for (const input of form.querySelectorAll("[name]")) input.removeAttribute("aria-invalid");
    const elsewhere = faults.filter(({ pointer, detail }) => {
      const place = FAULT_AT[pointer];
      form.querySelector(`[name="${CSS.escape(pointer)}"]`)?.setAttribute("aria-invalid", "true");
      if (place) say(byId(place), detail);
      return !place;
    });
    form.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    return elsewhere.map(({ pointer, detail }) => `${pointer}: ${detail}`);
  };
  const begin = (): void => {
    form.reset();
    // A number of its own for each result, kept until it is accepted: sent twice, it counts once.
    const random = crypto.getRandomValues(new Uint8Array(8));
    field("id").value = `web-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    field("document-number").focus();
  };

  const send = async (): Promise<void> => {
    const bearer = token();
    if (bearer === null) return;
    const time = new Date(field("occurred-at").value);
    const event = {
      id: field("id").value.trim(),
      kind: "test_result",
      subject: { document_type: field("document-type").value, document_number: field("document-number").value.trim() },
      occurred_at: Number.isNaN(time.getTime()) ? null : time.toISOString(),
      data: { test: field("test").value, result: field("result").value },
    };
    const mine = turn;
    button.disabled = true;
    mark([]);
    told("", () => t("sending"));
    try {
      const answer = await get<RowAnswer>("POST", "/v1/events", { bearer, body: event, timeoutMs: TIMEOUT_MS });
      if (mine !== turn) return;
      const { status: what, reason } = answer;
      told(what, () => t(`status_${what}`, reason ?? ""));
      if (what !== "ignored") begin();
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof Refused)) return told("rejected", () => t("status_unreachable"));
      const { problem, retryAfterMs } = error;
      if (error.sessionOver) {
        told("", () => "");
        return tokenOver(bearer);
      }
      if (error.busy) return told("rejected", () => t("status_busy", Math.ceil((retryAfterMs ?? 1_000) / 1_000)));
      if (error.status >= 500) return told("rejected", () => t("status_unreachable"));
      const elsewhere = mark(problem?.errors ?? []);
      const said = problem?.errors?.length ? elsewhere.join("; ") : refusal(error);
      told("rejected", () => t("status_rejected", said));
    } finally {
      if (mine === turn) button.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });

  const clear = (): void => {
    turn += 1;
    button.disabled = false;
    form.reset();
    mark([]);
    told("", () => "");
  };
  return { begin, clear, redraw };
}
