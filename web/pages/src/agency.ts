import { read } from "./agency/file.ts";
import { single } from "./agency/single.ts";
import { refusal, Upload, type Progress, type Status } from "./agency/upload.ts";
import { agencyWords } from "./agency/words.ts";
import { get, Refused } from "./shared/api.ts";
import { byId, make, say } from "./shared/dom.ts";
import { speaks, startLanguage } from "./shared/i18n.ts";

const t = speaks(agencyWords);
const MAX_FILE_BYTES = 100_000_000;
/** Failed rows on the page; the download has all. */
const SHOWN = 200;

/** The token lives here only: nothing is kept in the browser. */
let token: string | null = null;
let upload: Upload | null = null;
let notice: () => string = () => "";
let state: { status: string; words: () => string } = { status: "", words: () => "" };

const form = single(() => token, t, () => signOut(() => t("token_refused")));

function signIn(with_: string): void {
  token = with_;
  notice = () => "";
  byId("sign-in").hidden = true;
  byId("work").hidden = byId("sign-out").hidden = false;
  say(byId("who"), agencyOf(with_));
  form.begin();
}

/** The claim that the service goes by; shown so that nobody sends under another's name unawares. */
function agencyOf(jwt: string): string {
  try {
    const payload = jwt.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { agency } = JSON.parse(atob(payload)) as { agency?: unknown };
    return typeof agency === "string" ? agency : "";
  } catch {
    return "";
  }
}

function signOut(why: () => string): void {
  upload?.stop();
  [token, upload, notice] = [null, null, why];
  form.clear();
  byId<HTMLFormElement>("token-form").reset();
  byId<HTMLInputElement>("file").value = "";
  byId("upload").hidden = byId("failed").hidden = true;
  byId("failed-rows").replaceChildren();
  byId("counts").replaceChildren();
  say(byId("who"), "");
  byId("work").hidden = byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  redraw();
  void offerDemo();
}

async function offerDemo(): Promise<void> {
  const demo = await get<{ agency: string }>("GET", "/demo/agency").then(() => true, () => false);
  byId("demo-sign-in").hidden = !demo;
}

async function signInDemo(): Promise<void> {
  try {
    signIn((await get<{ token: string }>("POST", "/demo/token", { body: { role: "agency" } })).token);
  } catch {
    notice = () => t("sign_in_failed");
    redraw();
  }
}

async function take(file: File): Promise<void> {
  byId("upload").hidden = false;
  byId("failed").hidden = true;
  byId("counts").replaceChildren();
  if (file.size > MAX_FILE_BYTES) return told("rejected", () => t("too_large"));
  const bytes = await file.arrayBuffer().catch(() => null);
  if (bytes === null) return told("rejected", () => t("file_gone"));
  const rows = read(bytes);
  if ("word" in rows) return told("rejected", () => t(rows.word, rows.line ?? ""));
  if (token === null) return;
  const mine = (upload = new Upload(token, rows, (progress) => upload === mine && draw(progress)));
  byId("stop").hidden = false;
  try {
    const all = await mine.run(t("not_sent_row"));
    told(all ? "accepted" : "", () => t(all ? "finished" : "stopped"));
  } catch (error) {
    if (error instanceof Refused && error.sessionOver) return signOut(() => t("token_refused"));
    told("rejected", () => t("status_rejected", error instanceof Refused ? refusal(error) : String(error)));
  } finally {
    byId("stop").hidden = true;
    if (upload === mine) drawFailed(mine, rows.header, rows.extension);
  }
}

function told(status: string, words: () => string): void {
  state = { status, words };
  redraw();
}

function draw({ done, total, counts, waiting }: Progress): void {
  const bar = byId<HTMLProgressElement>("progress");
  [bar.max, bar.value] = [total, done];
  say(byId("progress-label"), t("progress", `${done} / ${total}`));
  if (waiting === null) told("", () => t("uploading"));
  else told("", () => t(waiting.busy ? "waiting_busy" : "waiting_unreachable", waiting.seconds));
  const count = (status: Status) =>
    make("div", "", make("dt", "", t(`count_${status}`)), make("dd", "", String(counts[status])));
  byId("counts").replaceChildren(...(["accepted", "duplicate", "ignored", "rejected"] as const).map(count));
}

function drawFailed({ failed }: Upload, header: string | null, extension: string): void {
  byId("failed").hidden = failed.length === 0;
  const rows = failed.slice(0, SHOWN).map(({ line, id, why }) =>
    make("tr", "", make("td", "", String(line)), make("td", "", id ?? ""), make("td", "", why)),
  );
  byId("failed-rows").replaceChildren(...rows);
  say(byId("more-failed"), failed.length > SHOWN ? t("more_failed", failed.length - SHOWN) : "");
  const lines = failed.map((row) => row.text);
  byId("download-rows").onclick = () => save(`rows.${extension}`, header === null ? lines : [header, ...lines]);
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const reasons = failed.map(({ line, id, why }) => [String(line), id ?? "", why].map(quoted).join(","));
  byId("download-reasons").onclick = () => save("reasons.csv", ["row,id,reason", ...reasons]);
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

function redraw(): void {
  say(byId("notice"), notice());
  const status = byId("upload-status");
  status.dataset["status"] = state.status;
  say(status, state.words());
  form.redraw();
}

startLanguage(byId("lang"), redraw, agencyWords);
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId<HTMLInputElement>("token").value.trim());
  byId<HTMLFormElement>("token-form").reset();
});
byId("demo-agency").addEventListener("click", () => void signInDemo());
byId("sign-out").addEventListener("click", () => signOut(() => ""));
byId("stop").addEventListener("click", () => upload?.stop());
const file = byId<HTMLInputElement>("file");
file.addEventListener("change", () => {
  const chosen = file.files?.[0];
  upload?.stop();
  if (chosen) void take(chosen);
  // The same file may be chosen again once it is mended.
  file.value = "";
});
signOut(() => "");
