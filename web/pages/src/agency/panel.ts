import { Refused } from "../shared/api.ts";
import { byId, make, say } from "../shared/dom.ts";
import { read } from "./file.ts";
import { refusal, Upload, type Failed, type Progress, type Status } from "./upload.ts";
import type { Speak } from "./words.ts";

const MAX_FILE_BYTES = 100_000_000;
/** Failed rows on the page; the download has all. */
const SHOWN = 200;

/** The part of the page that sends a file and tells what became of it. `token` is read when a file is chosen. */
export class Panel {
  readonly #token: () => string | null;
  readonly #t: Speak;
  readonly #tokenOver: (used: string) => void;
  #upload: Upload | null = null;
  #status: { status: string; words: () => string } = { status: "", words: () => "" };
  #failed: Failed[] = [];
  /** Raised by each file and by signing out: what began before shows and sends nothing more. */
  #turn = 0;

  constructor(token: () => string | null, t: Speak, tokenOver: (used: string) => void) {
    [this.#token, this.#t, this.#tokenOver] = [token, t, tokenOver];
    byId("stop").addEventListener("click", () => this.#upload?.stop());
    const file = byId<HTMLInputElement>("file");
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) void this.#take(chosen);
      // The same file may be chosen again once it is mended.
      file.value = "";
    });
  }

  /** Nothing of any file stays. */
  clear(): void {
    this.#begin();
    byId("upload").hidden = true;
  }

  redraw(): void {
    const { status, words } = this.#status;
    const element = byId("upload-status");
    element.dataset["status"] = status;
    say(element, words());
    const rows = this.#failed.slice(0, SHOWN).map((row) => {
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
    say(byId("more-failed"), more > 0 ? this.#t("more_failed", more) : "");
  }

  #begin(): number {
    this.#upload?.stop();
    [this.#upload, this.#failed] = [null, []];
    byId("counts").replaceChildren();
    byId("progress").removeAttribute("value");
    say(byId("progress-label"), "");
    byId("stop").hidden = true;
    this.#tell("", () => "");
    return ++this.#turn;
  }

  async #take(file: File): Promise<void> {
    const [turn, token, t] = [this.#begin(), this.#token(), this.#t];
    const refuse = (words: () => string): void => this.#tell("rejected", words);
    byId("upload").hidden = false;
    if (token === null) return;
    if (file.size > MAX_FILE_BYTES) return refuse(() => t("too_large"));
    const bytes = await file.arrayBuffer().catch(() => null);
    if (turn !== this.#turn) return;
    if (bytes === null) return refuse(() => t("file_gone"));
    const rows = read(bytes);
    if ("word" in rows) return refuse(() => t(rows.word, rows.line ?? ""));
    const upload = (this.#upload = new Upload(token, rows, (now) => turn === this.#turn && this.#progress(now)));
    byId("stop").hidden = false;
    const ended = await upload.run().catch((error: unknown) => error);
    if (turn !== this.#turn) return;
    byId("stop").hidden = true;
    this.#failed = upload.failed;
    this.#offer(upload.failed, rows.header, rows.extension);
    const count = upload.failed.length;
    if (ended === false) this.#tell("", () => t("stopped"));
    else if (ended === true) {
      if (count === 0) this.#tell("accepted", () => t("finished"));
      else this.#tell("partly", () => t("finished_partly", count));
    } else {
      refuse(() => (ended instanceof Refused ? t("status_rejected", refusal(ended)) : t("unfitting")));
      if (ended instanceof Refused && ended.sessionOver) this.#tokenOver(token);
    }
  }

  #tell(status: string, words: () => string): void {
    this.#status = { status, words };
    this.redraw();
  }

  #progress({ done, total, counts, waiting }: Progress): void {
    const t = this.#t;
    const bar = byId<HTMLProgressElement>("progress");
    [bar.max, bar.value] = [total, done];
    say(byId("progress-label"), t("progress", `${done} / ${total}`));
    if (waiting === null) this.#tell("", () => t("uploading"));
    else this.#tell("", () => t(waiting.busy ? "waiting_busy" : "waiting_unreachable", waiting.seconds));
    const count = (status: Status) =>
      make("div", "", make("dt", "", t(`count_${status}`)), make("dd", "", String(counts[status])));
    byId("counts").replaceChildren(...(["accepted", "duplicate", "ignored", "rejected"] as const).map(count));
  }

  #offer(failed: Failed[], header: string | null, extension: string): void {
    const lines = failed.map((row) => row.text);
    byId("download-rows").onclick = () => save(`rows.${extension}`, header === null ? lines : [header, ...lines]);
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const reasons = () => failed.map(({ line, id, status, why }) => [String(line), id ?? "", status, why].map(quoted).join(","));
    byId("download-reasons").onclick = () => save("reasons.csv", ["row,id,status,reason", ...reasons()]);
  }
}

function save(name: string, lines: string[]): void {
  // Spreadsheets take UTF-8 for what it is by its byte order mark.
  const mark = name.endsWith(".csv") ? "\uFEFF" : "";
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob([`${mark}${lines.join("\n")}\n`], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
