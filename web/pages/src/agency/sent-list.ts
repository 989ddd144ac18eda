/** What this clerk sent since signing in. It is kept in memory only: a test result must not outlast the session. */
import { byId, make } from "../shared/dom.ts";
import { clockTime } from "../shared/time.ts";
import { ownFields, valueNode, valueText, type FieldName } from "./fields.ts";
import { kindOf, type EventRecord } from "./record.ts";
import type { Translate } from "./words.ts";

interface SentEvent {
  record: EventRecord;
  sentAtMs: number;
  isTakenBack: boolean;
}

/** A file of which rows were accepted. */
export interface SentFile {
  name: string;
  /** Number of rows that were accepted, now or before. */
  rows: number;
  sentAtMs: number;
  isTakenBack: boolean;
  /** null: the page does not know the persons of its rows, as of FHIR resources. */
  takeBack: (() => void) | null;
}

/** The fields of an event's content that the list shows. */
const SHOWN: readonly FieldName[] = ["test", "result", "vaccine", "dose", "name", "colour", "reason", "event_id"];

/** Calls `correct` or `takeBack` with the newest revision of an event of the list. */
export class SentList {
  readonly #t: Translate;
  readonly #correct: (record: EventRecord) => void;
  readonly #takeBack: (record: EventRecord) => void;
  /** Newest first. */
  #events: (SentEvent | SentFile)[] = [];

  constructor(t: Translate, correct: (record: EventRecord) => void, takeBack: (record: EventRecord) => void) {
    [this.#t, this.#correct, this.#takeBack] = [t, correct, takeBack];
  }

  /** Adds an accepted event; a correction replaces what it corrects, and a retraction marks it. */
  add(record: EventRecord): void {
    const takenBack = record.kind === "retraction" ? this.#find(record, record.event_id) : undefined;
    if (takenBack) takenBack.isTakenBack = true;
    else {
      const earlier = this.#find(record, record.id);
      this.#events = this.#events.filter((event) => event !== earlier);
      this.#events.unshift({ record, sentAtMs: Date.now(), isTakenBack: false });
    }
    this.redraw();
  }

  addFile(file: SentFile): void {
    this.#events.unshift(file);
    this.redraw();
  }

  clear(): void {
    this.#events = [];
    this.redraw();
  }

  redraw(): void {
    byId("sent-none").hidden = this.#events.length > 0;
    byId("sent-table").hidden = this.#events.length === 0;
    byId("sent-rows").replaceChildren(...this.#events.map((event) => this.#row(event)));
  }

  /** An id is unique within agency and person. */
  #find({ document_type, document_number }: EventRecord, id: string | undefined): SentEvent | undefined {
    const events = this.#events.filter((event) => "record" in event);
    return events.find(
      ({ record }) =>
        record.id === id && record.document_type === document_type && record.document_number === document_number,
    );
  }

  #row(event: SentEvent | SentFile): HTMLElement {
    return "record" in event ? this.#eventRow(event) : this.#fileRow(event);
  }

  #fileRow({ name, rows, sentAtMs, isTakenBack, takeBack }: SentFile): HTMLElement {
    const t = this.#t;
    const row = make(
      "tr",
      "",
      make("td", "", clockTime(sentAtMs)),
      make("td", "", make("span", "quiet", t("sent_file"))),
      make("td", "", make("bdi", "", name), " · ", t("preview_rows", rows)),
      make("td", "", make("strong", "", t(isTakenBack ? "sent_taken_back" : "sent_in_force"))),
      make("td", "actions", ...(isTakenBack || takeBack === null ? [] : [this.#button("take_back", takeBack)])),
    );
    row.dataset["state"] = isTakenBack ? "taken_back" : "in_force";
    row.dataset["file"] = name;
    return row;
  }

  #eventRow(event: SentEvent): HTMLElement {
    const { record, sentAtMs, isTakenBack } = event;
    const [t, kind] = [this.#t, kindOf(record)!];
    const shown = SHOWN.filter((name) => record[name] !== undefined && ownFields(kind).includes(name));
    const what = shown.map((name) => {
      const value = make("span", "result", valueNode(name, record[name]!));
      value.dataset["result"] = record[name]!;
      return value;
    });
    const corrections = Number(record.revision ?? 0);
    const present = corrections > 0 ? t("sent_corrected", corrections) : t("sent_in_force");
    const state = isTakenBack ? t("sent_taken_back") : present;
    const row = make(
      "tr",
      "",
      make("td", "", clockTime(sentAtMs)),
      make("td", "", make("bdi", "", record.document_number!), make("small", "quiet", make("bdi", "", record.id!))),
      make("td", "", make("span", "quiet", valueText("kind", kind)), ...what.flatMap((node) => [" · ", node])),
      make("td", "", make("strong", "", state)),
      make("td", "actions", ...(isTakenBack || kind === "retraction" ? [] : this.#buttons(record))),
    );
    row.dataset["state"] = isTakenBack ? "taken_back" : corrections > 0 ? "corrected" : "in_force";
    row.dataset["id"] = record.id!;
    return row;
  }

  #buttons(record: EventRecord): HTMLElement[] {
    const takeBack = this.#button("take_back", () => this.#takeBack(record));
    return [this.#button("correct", () => this.#correct(record)), takeBack];
  }

  #button(word: "correct" | "take_back", act: () => void): HTMLElement {
    const button = make("button", "plain", this.#t(word));
    button.type = "button";
    button.dataset["act"] = word;
    button.addEventListener("click", act);
    return button;
  }
}
