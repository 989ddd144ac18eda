/** The form for one event of any kind: a new one, or the correction of one that was sent. */
import { RefusedError, requestJson } from "../shared/api.ts";
import { byId, setText } from "../shared/dom.ts";
import { inLine, placeText } from "../shared/line.ts";
import type { ConfirmDialog } from "./confirm-dialog.ts";
import { localTime } from "./dates.ts";
import { FIELD_NAMES, FIELDS, fieldLabel, requiredFields, type FieldName, type Kind } from "./fields.ts";
import { fieldErrorsText, fieldNamed, problemText, reasonText, refusalText } from "./reason-text.ts";
import { kindOf, newId, readRecord, retractionRows, toEvent, type EventRecord, type FieldError } from "./record.ts";
import type { RowAnswer } from "./row-answer.ts";
import { TIMEOUT_MS } from "./upload.ts";
import type { Translate } from "./words.ts";

/** What the page around the form does. */
export interface RecordFormOptions {
  token: () => string | null;
  agency: () => string | null;
  t: Translate;
  dialog: ConfirmDialog;
  tokenOver: (refused: string) => void;
  accepted: (record: EventRecord) => void;
}

type Input = HTMLInputElement | HTMLSelectElement;

export class RecordForm {
  readonly #options: RecordFormOptions;
  readonly #form = byId<HTMLFormElement>("single");
  readonly #button = this.#form.querySelector<HTMLButtonElement>("button[type=submit]")!;
  readonly #inputs = new Map<FieldName, Input>();
  /** Raised when the form is cleared: an answer to an earlier request is then ignored. */
  #clearCount = 0;
  #status: { status: string; words: () => string } = { status: "", words: () => "" };
  #errors: FieldError[] = [];
  /** The event that is being corrected. */
  #corrected: EventRecord | null = null;

  constructor(options: RecordFormOptions) {
    this.#options = options;
    for (const input of this.#form.querySelectorAll<Input>("[name]")) this.#inputs.set(input.name as FieldName, input);
    this.#input("kind").addEventListener("change", () => this.#showKind());
    byId("now").addEventListener("click", () => this.#setNow());
    byId("correct-cancel").addEventListener("click", () => this.startNew());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#check();
    });
    this.#showKind();
  }

  /** An empty form for another event of the same kind. */
  startNew(): void {
    const kind = this.#input("kind").value;
    this.#form.reset();
    if (kind !== "") this.#input("kind").value = kind;
    this.#input("id").value = newId();
    this.#correct(null);
    this.#showErrors([]);
    this.#input("document_number").focus();
  }

  /** Fills the form with an event that was sent, to be sent again with a higher revision. */
  startCorrection(record: EventRecord): void {
    this.#form.reset();
    for (const [name, input] of this.#inputs) {
      const value = record[name] ?? "";
      input.value = FIELDS[name].type === "time" && value !== "" ? localTime(value) : value;
    }
    this.#input("revision").value = String(Number(record.revision ?? 0) + 1);
    this.#correct(record);
    this.#showErrors([]);
    this.#setStatus("", () => "");
    // The content is what a correction changes.
    this.#form.querySelector<HTMLElement>(`[data-kinds~="${kindOf(record)}"] [name]:enabled`)?.focus();
  }

  /** Sends a retraction of an event that was sent. */
  takeBack(record: EventRecord, why: string): void {
    // What is being typed into the form stays.
    void this.#send(retractionRows([record], why)[0]!.record, false);
  }

  clear(): void {
    this.#clearCount += 1;
    this.#button.disabled = false;
    this.#form.reset();
    this.#correct(null);
    this.#showErrors([]);
    this.#setStatus("", () => "");
  }

  redraw(): void {
    const element = byId("single-status");
    element.dataset["status"] = this.#status.status;
    setText(element, this.#status.words());
    const [kind, required] = [this.#kind(), requiredFields(this.#kind())];
    for (const label of this.#form.querySelectorAll<HTMLElement>("[data-field]")) {
      const name = label.dataset["field"] as FieldName;
      const text = fieldLabel(name, kind);
      setText(label, required.includes(name) || name === "revision" ? text : this.#options.t("optional", text));
    }
    const corrected = this.#corrected?.id ?? "";
    setText(byId("correcting-text"), corrected === "" ? "" : this.#options.t("correcting", corrected));
    for (const name of this.#inputs.keys()) {
      const error = this.#errors.find(({ pointer }) => fieldNamed(pointer) === name);
      setText(byId(`fault-${name}`), error ? reasonText(error.detail) : "");
    }
  }

  #input(name: FieldName): Input {
    return this.#inputs.get(name)!;
  }

  #kind(): Kind {
    return kindOf({ kind: this.#input("kind").value }) ?? "test_result";
  }

  #showKind(): void {
    const kind = this.#kind();
    for (const part of this.#form.querySelectorAll<HTMLElement>("[data-kinds]")) {
      part.hidden = !part.dataset["kinds"]!.split(" ").includes(kind);
      for (const input of part.querySelectorAll<Input>("[name]")) input.disabled = part.hidden;
    }
    // These are about the present, unlike a sample or a dose.
    if (kind === "identity" || kind === "retraction" || kind === "guardianship") this.#setNow();
    else if (this.#corrected === null) this.#input("occurred_at").value = "";
    this.#showErrors([]);
  }

  #setNow(): void {
    this.#input("occurred_at").value = localTime(new Date().toISOString()).slice(0, 16);
  }

  #correct(record: EventRecord | null): void {
    this.#corrected = record;
    byId("correcting").hidden = record === null;
    byId("revision-field").hidden = record === null;
    this.#showKind();
    if (record?.occurred_at) this.#input("occurred_at").value = localTime(record.occurred_at);
    for (const name of ["kind", "id", "document_type", "document_number"] as const) {
      this.#input(name).disabled = record !== null;
    }
  }

  /** Reads the fields and asks before anything is sent. */
  #check(): void {
    if (this.#options.token() === null) return;
    const raw: EventRecord = {};
    for (const [name, input] of this.#inputs) {
      const isShown = input.closest<HTMLElement>("[data-kinds]")?.hidden !== true;
      if (isShown && !(name === "revision" && byId("revision-field").hidden)) raw[name] = input.value;
    }
    const { record, errors } = readRecord(raw, { agency: this.#options.agency(), daysSince: null });
    this.#showErrors(errors);
    if (errors.length > 0) return this.#setStatus("rejected", () => this.#options.t("form_faults"));
    this.#setStatus("", () => "");
    this.#options.dialog.ask(record, () => void this.#send(record, true));
  }

  async #send(record: EventRecord, isOfForm: boolean): Promise<void> {
    const { token, t, tokenOver, accepted } = this.#options;
    const bearer = token();
    if (bearer === null) return;
    const count = this.#clearCount;
    this.#button.disabled = true;
    this.#setStatus("", () => t("sending"));
    try {
      const answer = await inLine(
        (headers) =>
          requestJson<RowAnswer>("POST", "/v1/events", { bearer, headers, body: toEvent(record), timeoutMs: TIMEOUT_MS }),
        (place) => this.#setStatus("", () => (place === null ? t("sending") : placeText(place))),
        () => count === this.#clearCount,
      );
      if (count !== this.#clearCount) return;
      const { status, reason } = answer;
      this.#setStatus(status, () => t(`status_${status}`, reason === undefined ? "" : reasonText(reason)));
      if (status === "ignored") return;
      accepted(record);
      if (isOfForm) this.startNew();
    } catch (error) {
      if (count !== this.#clearCount) return;
      if (!(error instanceof RefusedError)) return this.#setStatus("rejected", () => t("status_unreachable"));
      if (error.sessionOver) {
        this.#setStatus("", () => "");
        return tokenOver(bearer);
      }
      this.#showRefusal(error, isOfForm);
    } finally {
      if (count === this.#clearCount) {
        this.#button.disabled = false;
        // The answer is below a long form. A field with an error has the focus, and its reason beside it.
        if (this.#errors.length === 0) byId("single-status").scrollIntoView({ block: "nearest" });
      }
    }
  }

  #showRefusal(error: RefusedError, isOfForm: boolean): void {
    const { problem, retryAfterMs } = error;
    const { t } = this.#options;
    const seconds = Math.ceil((retryAfterMs ?? 1_000) / 1_000);
    if (error.busy && !problem?.type.endsWith("/no-room")) {
      return this.#setStatus("rejected", () => t("status_busy", seconds));
    }
    if (error.status >= 500) {
      return this.#setStatus("rejected", () => (problem === null ? t("status_unreachable") : problemText(problem)));
    }
    if (!isOfForm) return this.#setStatus("rejected", () => t("status_rejected", refusalText(error)));
    const errors = problem?.errors ?? [];
    this.#showErrors(errors);
    const elsewhere = errors.filter(({ pointer }) => !this.#inputs.has(fieldNamed(pointer) ?? "agency"));
    const isConflict = problem?.type.endsWith("/conflict") ?? false;
    if (isConflict) this.#offerRevision();
    this.#setStatus("rejected", () => {
      const text = fieldErrorsText(elsewhere);
      const hint = isConflict ? ` ${t("conflict_hint")}` : "";
      if (errors.length > 0 && text === "") return t("form_faults");
      return t("status_rejected", text === "" ? refusalText(error) : text) + hint;
    });
  }

  /** The id was sent before with other content: one more makes a correction of it. */
  #offerRevision(): void {
    const revision = this.#input("revision");
    revision.value = String(Number(revision.value) + 1);
    byId("revision-field").hidden = false;
    revision.focus();
  }

  /** Marks each field that has an error, and goes to the first. */
  #showErrors(errors: FieldError[]): void {
    this.#errors = errors;
    for (const name of FIELD_NAMES) {
      const isWrong = errors.some(({ pointer }) => fieldNamed(pointer) === name);
      const input = this.#inputs.get(name);
      if (isWrong) input?.setAttribute("aria-invalid", "true");
      else input?.removeAttribute("aria-invalid");
    }
    this.redraw();
    this.#form.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }

  #setStatus(status: string, words: () => string): void {
    this.#status = { status, words };
    this.redraw();
  }
}
