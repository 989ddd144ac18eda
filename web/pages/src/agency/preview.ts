/** What the page understood of a file, shown before anything is sent. */
import { byId, make, setText } from "../shared/dom.ts";
import { localTime } from "./dates.ts";
import { FIELDS, fieldLabel, valueNode, valueText, type FieldName, type Kind } from "./fields.ts";
import type { ParsedFile } from "./parse-file.ts";
import type { EventRecord } from "./record.ts";
import { countContents, type Column } from "./table.ts";
import type { Translate } from "./words.ts";

export class FilePreview {
  readonly #t: Translate;
  #file: ParsedFile | null = null;
  #name = "";
  #counts = new Map<string, number>();

  constructor(t: Translate) {
    this.#t = t;
  }

  /** Shows a file; null hides the preview. */
  show(file: ParsedFile | null, name: string): void {
    [this.#file, this.#name, this.#counts] = [file, name, countContents(file?.rows ?? [])];
    this.redraw();
  }

  redraw(): void {
    const file = this.#file;
    byId("preview").hidden = file === null;
    if (file === null) return byId("preview-table").replaceChildren();
    const t = this.#t;
    const rows = t("preview_rows", file.rows.length + file.mistakes.length);
    byId("preview-title").replaceChildren(make("bdi", "", this.#name), ` · ${rows}`);
    byId("preview-notes").replaceChildren(...this.#notes(file).map((note) => make("li", "", ...note)));
    byId("preview-counts").replaceChildren(...this.#contents());
    byId("preview-table").replaceChildren(...(file.columns === null ? [] : this.#table(file, file.columns)));
    byId("preview-text").hidden = file.columns !== null;
    setText(byId("preview-text"), file.columns === null ? file.sample.map(({ values }) => values[0]).join("\n") : "");
    const send = byId<HTMLButtonElement>("send-file");
    send.disabled = file.rows.length === 0;
    setText(send, t("send_rows", file.rows.length));
  }

  /** The assumptions that the clerk has to agree with. */
  #notes({ encoding, sheet, assumed, columns, contentType }: ParsedFile): (Node | string)[][] {
    const t = this.#t;
    const notes: (Node | string)[][] = [];
    // What the file says stands apart from the page's words.
    const quote = (word: "preview_encoding" | "preview_sheet" | "preview_unused", quoted: string): void => {
      const [before = "", after = ""] = t(word, "{}").split("{}");
      notes.push([before, make("bdi", "", quoted), after]);
    };
    if (encoding !== null && encoding !== "utf-8") quote("preview_encoding", encoding.toUpperCase());
    if (sheet !== null) quote("preview_sheet", sheet.name);
    if (sheet !== null && sheet.others > 0) notes.push([t("preview_other_sheets", sheet.others)]);
    if (contentType === "application/fhir+ndjson") notes.push([t("preview_fhir")]);
    for (const name of ["kind", "document_type"] as const) {
      const value = assumed[name];
      if (value !== undefined) notes.push([t("preview_assumed", `${fieldLabel(name)} ${valueText(name, value)}`)]);
    }
    if (columns?.some(({ field }) => field !== null && FIELDS[field].type === "time")) {
      notes.push([t("preview_zone", zone())]);
    }
    const unused = columns?.filter(({ field, heading }) => field === null && heading !== "") ?? [];
    const names = unused.map(({ heading }) => heading);
    const ofNames = columns?.filter(({ field }) => field === "name") ?? [];
    if (this.#dropsNames()) names.push(...ofNames.map(({ heading }) => heading));
    if (names.length > 0) quote("preview_unused", names.join(t("list_comma")));
    return notes;
  }

  /** Whether names stand beside results, from where they do not leave the page. */
  #dropsNames(): boolean {
    const kinds = [...this.#counts.keys()].map((key) => key.split(" ")[0]);
    return !kinds.includes("identity") && (this.#file?.columns?.some(({ field }) => field === "name") ?? false);
  }

  #contents(): HTMLElement[] {
    return [...this.#counts].sort().map(([key, count]) => {
      const [kind, value] = key.split(" ") as [Kind, string | undefined];
      const field: FieldName = kind === "test_result" ? "result" : "colour";
      const words = value === undefined ? [] : [valueText(field, value)];
      const part = make("div", "", make("dt", "", [valueText("kind", kind), ...words].join(" · ")));
      part.append(make("dd", "", String(count)));
      if (value !== undefined) part.dataset["value"] = value;
      return part;
    });
  }

  #table({ sample }: ParsedFile, columns: Column[]): HTMLElement[] {
    const t = this.#t;
    const head = (cells: (Node | string)[]): HTMLElement =>
      make("tr", "", ...cells.map((text) => Object.assign(make("th", "", text), { scope: "col" })));
    const taken = columns.map(({ field }) => (field === null ? t("preview_not_sent") : `→ ${fieldLabel(field)}`));
    const rows = sample.map(({ line, values, record }) => {
      const cells = columns.map(({ field }, at) => cell(values[at] ?? "", field, record));
      return make("tr", "", make("td", "", String(line)), ...cells);
    });
    return [
      make("thead", "", head([t("row"), ...columns.map(({ heading }) => make("bdi", "", heading))]), head(["", ...taken])),
      make("tbody", "", ...rows),
    ];
  }
}

/** A value as in the file, and as it was understood where that looks different. */
function cell(text: string, field: FieldName | null, record: EventRecord): HTMLElement {
  const value = field === null ? undefined : record[field];
  const quoted = make("bdi", "", text);
  if (field === null || value === undefined) return make("td", field === null ? "quiet" : "", quoted);
  const understood = FIELDS[field].type === "time" ? localTime(value) : valueNode(field, value);
  const isSame = (typeof understood === "string" ? understood : value) === text;
  return make("td", "", quoted, ...(isSame ? [] : [make("small", "quiet", "→ ", understood)]));
}

/** The device's time zone, by which times without an offset are read. */
function zone(): string {
  const minutes = -new Date().getTimezoneOffset();
  const two = (part: number): string => String(part).padStart(2, "0");
  const hours = `${minutes < 0 ? "−" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return `UTC${hours}`;
}
