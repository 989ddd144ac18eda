/** The camera's part of the page: picture, buttons, and the choice of the code to scan. */
import { byId, setText } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import { Camera } from "./camera.ts";
import { CodesInView } from "./codes-in-view.ts";
import type { Outcome } from "./scanner.ts";
import type { SignalKind } from "./signal.ts";
import { isHealthCode } from "./typed-code.ts";

/** How long an outcome stays before the camera may replace it. A hand scanner and "next" need not wait. */
const HOLD_MS: Record<SignalKind, number> = { pass: 1_000, check: 2_500, stop: 2_500, unchecked: 2_000 };

export class CameraPanel {
  readonly #camera: Camera;
  readonly #codesInView = new CodesInView();
  readonly #scan: (code: string) => void;
  #ready = true;
  #holdUntil = 0;
  /** The last frame had QR codes, but no health code. */
  #foreign = false;

  constructor(scan: (code: string) => void) {
    this.#scan = scan;
    this.#camera = new Camera(byId<HTMLVideoElement>("video"), {
      changed: () => this.#changed(),
      frameRead: (texts) => this.#frameRead(texts),
    });
    byId("camera-switch").addEventListener("click", () => {
      if (this.#camera.state.kind === "off") void this.#camera.open();
      else this.#camera.close();
    });
    byId("torch").addEventListener("click", () => void this.#camera.switchTorch());
    byId("other-camera").addEventListener("click", () => void this.#camera.useOther());
  }

  /** To be called with each outcome: the camera scans nothing while a code is typed or checked, or an outcome held. */
  outcomeChanged(outcome: Outcome): void {
    this.#ready = outcome.kind !== "waiting" && outcome.kind !== "reading";
    this.#holdUntil = outcome.kind === "scan" || outcome.kind === "unchecked" ? Date.now() + holdMs(outcome) : 0;
    // A code that could not be checked is scanned again while it stays in view.
    if (outcome.kind === "unchecked") this.#codesInView.clear();
  }

  /** Lets the codes in view be scanned, again if they were before. */
  next(): void {
    this.#codesInView.clear();
  }

  close(): void {
    this.#camera.close();
  }

  draw(): void {
    const { state } = this.#camera;
    byId("camera").dataset["camera"] = byId("scan").dataset["camera"] = state.kind;
    setText(byId("camera-switch"), t(state.kind === "off" ? "camera_open" : "camera_close"));
    const torch = byId("torch");
    torch.hidden = state.kind !== "on" || state.torch === null;
    torch.setAttribute("aria-pressed", String(state.kind === "on" && state.torch === true));
    byId("other-camera").hidden = state.kind !== "on" || !state.others;
    setText(byId("camera-note"), this.#note());
  }

  #changed(): void {
    // No code stays in memory once the camera is off.
    if (this.#camera.state.kind === "off") this.#codesInView.clear();
    this.draw();
  }

  #note(): string {
    const { state } = this.#camera;
    switch (state.kind) {
      case "off":
        return state.failure === null ? "" : t(`camera_${state.failure}`);
      case "opening":
        return t("camera_opening");
      case "on":
        return t(this.#foreign ? "camera_foreign" : "camera_aim");
    }
  }

  #frameRead(texts: string[]): void {
    const codes = texts.filter(isHealthCode);
    this.#foreign = texts.length > 0 && codes.length === 0;
    setText(byId("camera-note"), this.#note());
    const code = this.#codesInView.next(codes, this.#ready && Date.now() >= this.#holdUntil, performance.now());
    if (code !== null) this.#scan(code);
  }
}

function holdMs(outcome: Extract<Outcome, { kind: "scan" | "unchecked" }>): number {
  if (outcome.kind === "scan") return HOLD_MS[outcome.scan.verdict];
  return Math.max(HOLD_MS.unchecked, outcome.why === "busy" ? outcome.until - Date.now() : 0);
}
