/** The question before an event is sent: it repeats the person and the content. */
import { byId, make, setText } from "../shared/dom.ts";
import { localTime } from "./dates.ts";
import { FIELD_NAMES, FIELDS, fieldLabel, ownFields, valueNode, type FieldName } from "./fields.ts";
import { kindOf, restricts, type EventRecord } from "./record.ts";
import { birthDate, isMale, plainNumber, residentIdError } from "./resident-id.ts";
import type { Translate } from "./words.ts";

/** Asks with `<dialog>`, which keeps the focus within and closes with Escape. */
export class ConfirmDialog {
  readonly #t: Translate;
  readonly #dialog = byId<HTMLDialogElement>("confirm");
  #confirmed: () => void = () => {};
  #draw: () => void = () => {};

  constructor(t: Translate) {
    this.#t = t;
    byId("confirm-back").addEventListener("click", () => this.#dialog.close());
    byId("confirm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const why = byId<HTMLInputElement>("confirm-why");
      // The browser's own message would be in the browser's language.
      const isMissing = !byId("confirm-why-field").hidden && why.value.trim() === "";
      setText(byId("confirm-why-fault"), isMissing ? this.#t("why_missing") : "");
      if (isMissing) return why.focus();
      this.#dialog.close();
      this.#confirmed();
    });
  }

  /** Shows `record` and calls `send` if the clerk confirms. */
  ask(record: EventRecord, send: () => void): void {
    const note = restricts(record) ? "confirm_restricts" : null;
    this.#show("confirm_title", note, "confirm_send", () => recordFacts(record, this.#t), send);
    byId("confirm-why-field").hidden = true;
    // An Enter that was meant for the form must not send what restricts a person.
    byId(restricts(record) ? "confirm-back" : "confirm-send").focus();
  }

  /** Shows an event that was sent, and calls `takeBack` with the clerk's reason. */
  askWhy(record: EventRecord, takeBack: (why: string) => void): void {
    this.#askWhy(() => recordFacts(record, this.#t), takeBack);
  }

  /** The same of all events of a file. */
  askWhyFile(name: string, rows: number, takeBack: (why: string) => void): void {
    const fact = (label: string, value: Node | string): Node =>
      make("div", "", make("dt", "", label), make("dd", "", value));
    const facts = (): Node[] => [
      fact(this.#t("sent_file"), make("bdi", "", name)),
      fact(this.#t("rows"), String(rows)),
    ];
    this.#askWhy(facts, takeBack);
  }

  #askWhy(facts: () => Node[], takeBack: (why: string) => void): void {
    const why = byId<HTMLInputElement>("confirm-why");
    const confirmed = (): void => takeBack(why.value.trim());
    this.#show("take_back_title", "take_back_note", "take_back_send", facts, confirmed);
    byId("confirm-why-field").hidden = false;
    why.value = "";
    why.focus();
  }

  close(): void {
    [this.#confirmed, this.#draw] = [() => {}, () => {}];
    if (this.#dialog.open) this.#dialog.close();
    byId("confirm-facts").replaceChildren();
    byId<HTMLInputElement>("confirm-why").value = "";
  }

  /** Shows the question in the page's present language. */
  redraw(): void {
    if (this.#dialog.open) this.#draw();
  }

  #show(
    title: "confirm_title" | "take_back_title",
    note: "confirm_restricts" | "take_back_note" | null,
    send: "confirm_send" | "take_back_send",
    facts: () => Node[],
    confirmed: () => void,
  ): void {
    this.#confirmed = confirmed;
    this.#draw = () => {
      setText(byId("confirm-title"), this.#t(title));
      setText(byId("confirm-note"), note === null ? "" : this.#t(note));
      setText(byId("confirm-send"), this.#t(send));
      setText(byId("confirm-why-fault"), "");
      byId("confirm-facts").replaceChildren(...facts());
    };
    this.#draw();
    this.#dialog.showModal();
  }
}

/** The person first, then the content, then the rest; each as label and value. */
function recordFacts(record: EventRecord, t: Translate): Node[] {
  const kind = kindOf(record)!;
  const first: FieldName[] = ["document_type", "document_number", "kind", ...ownFields(kind), "occurred_at"];
  const names = [...first, ...FIELD_NAMES.filter((name) => !first.includes(name))];
  return names
    .filter((name) => record[name] !== undefined && (name !== "revision" || record.revision !== "0"))
    .map((name) => {
      const value = record[name]!;
      const shown = make("dd", "", ...factText(name, value, record, t));
      shown.dataset["field"] = name;
      shown.dataset["value"] = value;
      return make("div", "", make("dt", "", fieldLabel(name, kind)), shown);
    });
}

function factText(name: FieldName, value: string, record: EventRecord, t: Translate): (Node | string)[] {
  if (FIELDS[name].type === "time") return [localTime(value)];
  if (name !== "document_number") return [valueNode(name, value)];
  const number = plainNumber(value);
  const born = record.document_type === "cn_resident_id" && !residentIdError(number) ? birthDate(number) : null;
  const grouped = born === null ? value : number.replace(/^(.{6})(.{8})(.{4})$/, "$1 $2 $3");
  // Who compares date of birth and sex with the paper notices another person's number.
  const person = born === null ? [] : [make("small", "quiet", t(isMale(number) ? "born_male" : "born_female", born))];
  return [make("bdi", "number", grouped), ...person];
}
