/** The form for one test result. */
import { RefusedError, requestJson } from "../shared/api.ts";
import { byId, setText } from "../shared/dom.ts";
import { refusalText, type RowAnswer } from "./row-answer.ts";
import { TIMEOUT_MS } from "./upload.ts";
import type { Translate } from "./words.ts";

/** Ids of the elements for errors, by JSON pointer of the field. */
const ERROR_ELEMENTS: Record<string, string> = {
  "/id": "fault-id",
  "/subject/document_number": "fault-number",
  "/data/result": "fault-result",
  "/occurred_at": "fault-time",
};

/** Calls `token` when a result is sent. */
export function singleResultForm(token: () => string | null, t: Translate, tokenOver: (refused: string) => void) {
  const form = byId<HTMLFormElement>("single");
  const field = (id: string) => byId<HTMLInputElement | HTMLSelectElement>(id);
  const button = form.querySelector<HTMLButtonElement>("button[type=submit]")!;
  /** Raised when the form is cleared: an answer to an earlier request is then ignored. */
  let clearCount = 0;
  let status: { status: string; words: () => string } = { status: "", words: () => "" };

  const redraw = (): void => {
    const element = byId("single-status");
    element.dataset["status"] = status.status;
    setText(element, status.words());
  };
  const setStatus = (name: string, words: () => string): void => {
    status = { status: name, words };
    redraw();
  };
  /** Shows each error beside its field; returns the errors of other fields, for the status line. */
  const showErrors = (errors: { pointer: string; detail: string }[]): string[] => {
    for (const id of Object.values(ERROR_ELEMENTS)) setText(byId(id), "");
    for (const input of form.querySelectorAll("[name]")) input.removeAttribute("aria-invalid");
    const elsewhere = errors.filter(({ pointer, detail }) => {
      const elementId = ERROR_ELEMENTS[pointer];
      form.querySelector(`[name="${CSS.escape(pointer)}"]`)?.setAttribute("aria-invalid", "true");
      if (elementId) setText(byId(elementId), detail);
      return !elementId;
    });
    form.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    return elsewhere.map(({ pointer, detail }) => `${pointer}: ${detail}`);
  };
  const startNew = (): void => {
    form.reset();
    // Each result has a number of its own until it is accepted, so that a repeated request is a duplicate.
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
    const count = clearCount;
    button.disabled = true;
    showErrors([]);
    setStatus("", () => t("sending"));
    try {
      const answer = await requestJson<RowAnswer>("POST", "/v1/events", { bearer, body: event, timeoutMs: TIMEOUT_MS });
      if (count !== clearCount) return;
      const { status: outcome, reason } = answer;
      setStatus(outcome, () => t(`status_${outcome}`, reason ?? ""));
      if (outcome !== "ignored") startNew();
    } catch (error) {
      if (count !== clearCount) return;
      if (!(error instanceof RefusedError)) return setStatus("rejected", () => t("status_unreachable"));
      const { problem, retryAfterMs } = error;
      if (error.sessionOver) {
        setStatus("", () => "");
        return tokenOver(bearer);
      }
      if (error.busy) return setStatus("rejected", () => t("status_busy", Math.ceil((retryAfterMs ?? 1_000) / 1_000)));
      if (error.status >= 500) return setStatus("rejected", () => t("status_unreachable"));
      const elsewhere = showErrors(problem?.errors ?? []);
      const text = problem?.errors?.length ? elsewhere.join("; ") : refusalText(error);
      setStatus("rejected", () => t("status_rejected", text));
    } finally {
      if (count === clearCount) button.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });

  const clear = (): void => {
    clearCount += 1;
    button.disabled = false;
    form.reset();
    showErrors([]);
    setStatus("", () => "");
  };
  return { startNew, clear, redraw };
}
