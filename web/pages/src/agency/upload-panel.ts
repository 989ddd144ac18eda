/** The part of the page that sends a file: chosen, read and shown, then sent when the clerk says so. */
import { RefusedError } from "../shared/api.ts";
import { byId, make, setText } from "../shared/dom.ts";
import { placeText } from "../shared/line.ts";
import { safeRecord } from "./csv.ts";
import { save, saveTable, tableExtension } from "./download.ts";
import { fieldLabel } from "./fields.ts";
import { parseFile, type FileError, type FileRow, type ParsedFile } from "./parse-file.ts";
import { FilePreview } from "./preview.ts";
import { refusalText } from "./reason-text.ts";
import { retractionRows } from "./record.ts";
import { ROW_STATUSES } from "./row-answer.ts";
import { Upload, type FailedRow, type Progress } from "./upload.ts";
import type { Translate } from "./words.ts";

const MAX_FILE_BYTES = 100_000_000;
/** Maximum number of failed rows on the page; the download has all. */
const MAX_SHOWN_ROWS = 200;

/** What the page around the panel does. */
export interface UploadPanelOptions {
  token: () => string | null;
  agency: () => string | null;
  t: Translate;
  tokenOver: (refused: string) => void;
  /** A file was sent; with the rows of it that the service has. */
  sent: (name: string, stored: FileRow[]) => void;
}

/** Shows a file before it is sent, the upload's progress, and the rows that were not accepted. */
export class UploadPanel {
  readonly #options: UploadPanelOptions;
  readonly #t: Translate;
  readonly #preview: FilePreview;
  #upload: Upload | null = null;
  #status: { status: string; words: () => string } = { status: "", words: () => "" };
  #progress: Progress | null = null;
  /** The file of `#failed`. */
  #file: ParsedFile | null = null;
  #name = "";
  #failed: FailedRow[] = [];
  /** Raised by each file and by sign-out: an earlier upload then draws and sends nothing more. */
  #latestUpload = 0;

  constructor(options: UploadPanelOptions) {
    this.#options = options;
    this.#t = options.t;
    this.#preview = new FilePreview(options.t);
    byId("stop").addEventListener("click", () => this.#upload?.stop());
    byId("send-file").addEventListener("click", () => {
      const name = this.#name;
      void this.#send((upload) => this.#options.sent(name, upload.stored));
    });
    byId("discard-file").addEventListener("click", () => {
      this.clear();
      byId("file").focus();
    });
    byId("download-rows").addEventListener("click", () => void this.#saveRows());
    byId("download-reasons").addEventListener("click", () => this.#saveReasons());
    const file = byId<HTMLInputElement>("file");
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) void this.#read(chosen);
      // Emptied, so that the same file can be chosen again after it was corrected.
      file.value = "";
    });
  }

  /** Whether leaving the page would lose the report of rows that are being sent. */
  get isSending(): boolean {
    return !byId("stop").hidden;
  }

  /** Stops the upload and removes everything about the file. */
  clear(): void {
    this.#reset();
    byId("upload").hidden = true;
  }

  /** Sends retractions of rows that were sent; calls `done` when all are taken back. */
  takeBack(stored: FileRow[], why: string, done: () => void): void {
    if (this.isSending) return this.#setStatus("", () => this.#t("wait_for_file"));
    this.#reset();
    byId("upload").hidden = false;
    const rows = retractionRows(stored.map(({ record }) => record), why);
    this.#file = {
      contentType: "application/x-ndjson",
      header: null,
      rows: rows.map(({ record, text }, at) => ({ line: stored[at]!.line, text, values: null, record })),
      mistakes: [],
      columns: null,
      sample: [],
      assumed: {},
      encoding: null,
      sheet: null,
    };
    void this.#send(({ stored, failed }) => void (failed.length === 0 && stored.length === rows.length && done()));
  }

  redraw(): void {
    const { status, words } = this.#status;
    const element = byId("upload-status");
    element.dataset["status"] = status;
    setText(element, words());
    // Another file would take the place of the report, and of the entry among what was sent.
    byId("choose").hidden = this.isSending || this.#options.token() === null;
    this.#preview.redraw();
    this.#drawProgress();
    const rows = this.#failed.slice(0, MAX_SHOWN_ROWS).map((row) => this.#failedRow(row));
    byId("failed").hidden = rows.length === 0;
    byId("failed-rows").replaceChildren(...rows);
    const more = this.#failed.length - rows.length;
    setText(byId("more-failed"), more > 0 ? this.#t("more_failed", more) : "");
  }

  #failedRow(row: FailedRow): HTMLElement {
    const why = row.why();
    const line = make(
      "tr",
      "",
      make("td", "", String(row.line)),
      make("td", "", make("bdi", "", row.id ?? "")),
      make("td", "", make("strong", "", this.#t(`row_${row.status}`)), why === "" ? "" : ` ${why}`),
    );
    line.dataset["status"] = row.status;
    return line;
  }

  /** Returns the number of the upload that may start now. */
  #reset(): number {
    this.#upload?.stop();
    [this.#upload, this.#progress, this.#file, this.#failed] = [null, null, null, []];
    this.#preview.show(null, "");
    byId("stop").hidden = true;
    this.#setStatus("", () => "");
    return ++this.#latestUpload;
  }

  async #read(file: File): Promise<void> {
    const [number, t] = [this.#reset(), this.#t];
    const refuse = (words: () => string): void => this.#setStatus("rejected", words);
    byId("upload").hidden = false;
    if (file.size > MAX_FILE_BYTES) return refuse(() => t("too_large"));
    this.#setStatus("", () => t("reading"));
    const bytes = await file.arrayBuffer().catch(() => null);
    if (number !== this.#latestUpload) return;
    if (bytes === null) return refuse(() => t("file_gone"));
    const parsed = await parseFile(new Uint8Array(bytes), this.#options.agency());
    if (number !== this.#latestUpload) return;
    if ("word" in parsed) return refuse(() => this.#fileErrorText(parsed));
    [this.#file, this.#name] = [parsed, file.name];
    this.#failed = parsed.mistakes.map((row) => ({ ...row, status: "not_sent" }));
    this.#preview.show(parsed, file.name);
    const isClean = parsed.mistakes.length === 0;
    this.#setStatus(isClean ? "" : "partly", () =>
      isClean ? t("preview_ready", parsed.rows.length) : t("preview_mistakes", parsed.mistakes.length),
    );
  }

  #fileErrorText({ word, value }: FileError): string {
    const fields = Array.isArray(value) ? value.map((name) => fieldLabel(name)).join(this.#t("list_comma")) : value;
    return this.#t(word, fields);
  }

  /** Sends the file that was read, and calls `ended` however that ends. */
  async #send(ended: (upload: Upload) => void): Promise<void> {
    const [number, parsed, t] = [this.#latestUpload, this.#file, this.#t];
    const token = this.#options.token();
    if (parsed === null || token === null || this.#upload !== null) return;
    this.#preview.show(null, "");
    const upload = (this.#upload = new Upload(token, parsed, (progress) => {
      if (number !== this.#latestUpload) return;
      this.#progress = progress;
      const { waiting } = progress;
      if (waiting === null) this.#setStatus("", () => t("uploading"));
      else if (waiting.place !== null) this.#setStatus("", () => placeText(waiting));
      else this.#setStatus("", () => t(waiting.busy ? "waiting_busy" : "waiting_unreachable", waiting.seconds));
    }));
    byId("stop").hidden = false;
    // The button that had the focus is hidden.
    byId("upload-title").focus();
    const result = await upload.run().catch((error: unknown) => error);
    if (number !== this.#latestUpload) return;
    byId("stop").hidden = true;
    this.#failed = [...this.#failed, ...upload.failed].sort((a, b) => a.line - b.line);
    ended(upload);
    const count = this.#failed.length;
    if (result === false) this.#setStatus("", () => t("stopped"));
    else if (result === true) {
      if (count === 0) this.#setStatus("accepted", () => t("finished"));
      else this.#setStatus("partly", () => t("finished_partly", count));
    } else {
      const refusal = result instanceof RefusedError ? result : null;
      this.#setStatus("rejected", () =>
        refusal === null ? t("answer_mismatch") : t("status_rejected", refusalText(refusal)),
      );
      if (refusal?.sessionOver) this.#options.tokenOver(token);
    }
  }

  #setStatus(status: string, words: () => string): void {
    this.#status = { status, words };
    this.redraw();
  }

  #drawProgress(): void {
    const t = this.#t;
    byId("sending").hidden = this.#progress === null;
    if (this.#progress === null) return byId("counts").replaceChildren();
    const { done, total, counts } = this.#progress;
    const bar = byId<HTMLProgressElement>("progress");
    [bar.max, bar.value] = [total, done];
    setText(byId("progress-label"), t("progress", `${done} / ${total}`));
    const count = (name: string, rows: number) =>
      make("div", "", make("dt", "", name), make("dd", "", String(rows)));
    const answered = ROW_STATUSES.map((status) => count(t(`count_${status}`), counts[status]));
    // Rows without an answer, so that the numbers add up to those of the list below.
    const others = (["not_sent", "not_known"] as const).flatMap((status) => {
      const rows = this.#failed.filter((row) => row.status === status).length;
      return rows === 0 ? [] : [count(t(`row_${status}`), rows)];
    });
    byId("counts").replaceChildren(...answered, ...others);
  }

  /** The rows as in their file, to be corrected there. */
  async #saveRows(): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    const headings = file.columns?.map(({ heading }) => heading) ?? null;
    if (headings === null) return save("rows.ndjson", this.#failed.map((row) => `${row.text}\n`).join(""));
    const rows = [headings, ...this.#failed.map((row) => row.values?.() ?? [])];
    await saveTable("rows", tableExtension(file), [{ name: "rows", rows }]);
  }

  #saveReasons(): void {
    const record = ({ line, id, status, why }: FailedRow): string =>
      safeRecord([String(line), id ?? "", this.#t(`row_${status}`), why()]);
    const head = safeRecord([this.#t("row"), this.#t("event_id"), this.#t("sent_state"), this.#t("why")]);
    save("reasons.csv", `\uFEFF${[head, ...this.#failed.map(record)].join("\n")}\n`);
  }
}
