/** The part of the page that uploads a file. */
import { RefusedError } from "../shared/api.ts";
import { byId, make, setText } from "../shared/dom.ts";
import { parseFile } from "./parse-file.ts";
import { refusalText, ROW_STATUSES, type RowStatus } from "./row-answer.ts";
import { Upload, type FailedRow, type Progress } from "./upload.ts";
import type { Translate } from "./words.ts";

const MAX_FILE_BYTES = 100_000_000;
/** Maximum number of failed rows on the page; the download has all. */
const MAX_SHOWN_ROWS = 200;

/** Shows an upload's progress and its failed rows. Calls `token` when a file is chosen. */
export class UploadPanel {
  readonly #token: () => string | null;
  readonly #t: Translate;
  readonly #tokenOver: (refused: string) => void;
  #upload: Upload | null = null;
  #status: { status: string; words: () => string } = { status: "", words: () => "" };
  #failed: FailedRow[] = [];
  /** Raised by each file and by sign-out: an earlier upload then draws and sends nothing more. */
  #latestUpload = 0;

  constructor(token: () => string | null, t: Translate, tokenOver: (refused: string) => void) {
    [this.#token, this.#t, this.#tokenOver] = [token, t, tokenOver];
    byId("stop").addEventListener("click", () => this.#upload?.stop());
    const file = byId<HTMLInputElement>("file");
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) void this.#sendFile(chosen);
      // Emptied, so that the same file can be chosen again after it was corrected.
      file.value = "";
    });
  }

  /** Stops the upload and removes everything about the file. */
  clear(): void {
    this.#reset();
    byId("upload").hidden = true;
  }

  redraw(): void {
    const { status, words } = this.#status;
    const element = byId("upload-status");
    element.dataset["status"] = status;
    setText(element, words());
    const rows = this.#failed.slice(0, MAX_SHOWN_ROWS).map((row) => {
      const line = make(
        "tr",
        "",
        make("td", "", String(row.line)),
        make("td", "", row.id ?? ""),
        make("td", "", make("strong", "", this.#t(`row_${row.status}`)), row.why === "" ? "" : ` ${row.why}`),
      );
      line.dataset["status"] = row.status;
      return line;
    });
    byId("failed").hidden = rows.length === 0;
    byId("failed-rows").replaceChildren(...rows);
    const more = this.#failed.length - rows.length;
    setText(byId("more-failed"), more > 0 ? this.#t("more_failed", more) : "");
  }

  /** Returns the number of the upload that may start now. */
  #reset(): number {
    this.#upload?.stop();
    [this.#upload, this.#failed] = [null, []];
    byId("counts").replaceChildren();
    byId("progress").removeAttribute("value");
    setText(byId("progress-label"), "");
    byId("stop").hidden = true;
    this.#setStatus("", () => "");
    return ++this.#latestUpload;
  }

  async #sendFile(file: File): Promise<void> {
    const [number, token, t] = [this.#reset(), this.#token(), this.#t];
    const refuse = (words: () => string): void => this.#setStatus("rejected", words);
    byId("upload").hidden = false;
    if (token === null) return;
    if (file.size > MAX_FILE_BYTES) return refuse(() => t("too_large"));
    const bytes = await file.arrayBuffer().catch(() => null);
    if (number !== this.#latestUpload) return;
    if (bytes === null) return refuse(() => t("file_gone"));
    const parsed = parseFile(bytes);
    if ("word" in parsed) return refuse(() => t(parsed.word, parsed.line ?? ""));
    const upload = (this.#upload = new Upload(token, parsed, (progress) => {
      if (number === this.#latestUpload) this.#showProgress(progress);
    }));
    byId("stop").hidden = false;
    const result = await upload.run().catch((error: unknown) => error);
    if (number !== this.#latestUpload) return;
    byId("stop").hidden = true;
    this.#failed = upload.failed;
    this.#setUpDownloads(upload.failed, parsed.header, parsed.extension);
    const count = upload.failed.length;
    if (result === false) this.#setStatus("", () => t("stopped"));
    else if (result === true) {
      if (count === 0) this.#setStatus("accepted", () => t("finished"));
      else this.#setStatus("partly", () => t("finished_partly", count));
    } else {
      refuse(() => (result instanceof RefusedError ? t("status_rejected", refusalText(result)) : t("answer_mismatch")));
      if (result instanceof RefusedError && result.sessionOver) this.#tokenOver(token);
    }
  }

  #setStatus(status: string, words: () => string): void {
    this.#status = { status, words };
    this.redraw();
  }

  #showProgress({ done, total, counts, waiting }: Progress): void {
    const t = this.#t;
    const bar = byId<HTMLProgressElement>("progress");
    [bar.max, bar.value] = [total, done];
    setText(byId("progress-label"), t("progress", `${done} / ${total}`));
    if (waiting === null) this.#setStatus("", () => t("uploading"));
    else this.#setStatus("", () => t(waiting.busy ? "waiting_busy" : "waiting_unreachable", waiting.seconds));
    const count = (status: RowStatus) =>
      make("div", "", make("dt", "", t(`count_${status}`)), make("dd", "", String(counts[status])));
    byId("counts").replaceChildren(...ROW_STATUSES.map(count));
  }

  #setUpDownloads(failed: FailedRow[], header: string | null, extension: string): void {
    const lines = failed.map((row) => row.text);
    byId("download-rows").onclick = () => save(`rows.${extension}`, header === null ? lines : [header, ...lines]);
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const record = ({ line, id, status, why }: FailedRow) =>
      [String(line), id ?? "", status, why].map(quoted).join(",");
    byId("download-reasons").onclick = () => save("reasons.csv", ["row,id,status,reason", ...failed.map(record)]);
  }
}

function save(name: string, lines: string[]): void {
  // Spreadsheets recognize UTF-8 by its byte order mark.
  const mark = name.endsWith(".csv") ? "\uFEFF" : "";
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob([`${mark}${lines.join("\n")}\n`], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
