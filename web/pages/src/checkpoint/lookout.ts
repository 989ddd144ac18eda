import { byId, say } from "../shared/dom.ts";
import { t } from "../shared/i18n.ts";
import { Camera } from "./camera.ts";
import type { Outcome } from "./scanner.ts";
import { Sight } from "./sight.ts";

/** What every code of ours begins with; anything else that hangs on a wall is not sent anywhere. */
const OURS = "YM1:";

/** For so long a verdict is not replaced by what else comes into view; a hand scanner and "next" need not wait. */
const HOLD_MS = { pass: 1_000, check: 2_500, stop: 2_500, unchecked: 2_000 };

/** The camera's part of the page: picture, buttons, and which of the codes in view is checked. */
export class Lookout {
  readonly #camera: Camera;
  readonly #sight = new Sight();
  readonly #scan: (code: string) => void;
  #ready = true;
  #holdUntil = 0;
  #foreign = false;

  constructor(scan: (code: string) => void) {
    this.#scan = scan;
    this.#camera = new Camera(byId<HTMLVideoElement>("video"), {
      changed: () => this.#changed(),
      saw: (texts) => this.#saw(texts),
    });
    byId("camera-switch").addEventListener("click", () => {
      if (this.#camera.state.kind === "off") void this.#camera.open();
      else this.#camera.close();
    });
    byId("torch").addEventListener("click", () => void this.#camera.switchTorch());
    byId("other-camera").addEventListener("click", () => void this.#camera.other());
  }

  /** To be told of each outcome: while one is awaited or was just given, nothing else is checked. */
  follow(outcome: Outcome): void {
    this.#ready = outcome.kind !== "waiting";
    this.#holdUntil = outcome.kind === "idle" || outcome.kind === "waiting" ? 0 : Date.now() + hold(outcome);
    // A code that could not be checked is tried again for as long as it is held there.
    if (outcome.kind === "unchecked") this.#sight.forget();
  }

  /** Whatever is in view may be checked, also once more. */
  next(): void {
    this.#sight.forget();
  }

  close(): void {
    this.#camera.close();
  }

  draw(): void {
    const { state } = this.#camera;
    byId("camera").dataset["camera"] = byId("scan").dataset["camera"] = state.kind;
    say(byId("camera-switch"), t(state.kind === "off" ? "camera_open" : "camera_close"));
    const torch = byId("torch");
    torch.hidden = state.kind !== "on" || state.torch === null;
    torch.setAttribute("aria-pressed", String(state.kind === "on" && state.torch === true));
    byId("other-camera").hidden = state.kind !== "on" || !state.others;
    say(byId("camera-note"), this.#note());
  }

  #changed(): void {
    // Nothing is in view of a camera that is off, and nobody's code stays in memory.
    if (this.#camera.state.kind === "off") this.#sight.forget();
    this.draw();
  }

  #note(): string {
    const { state } = this.#camera;
    switch (state.kind) {
      case "off":
        return state.trouble === null ? "" : t(`camera_${state.trouble}`);
      case "opening":
        return t("camera_opening");
      case "on":
        return t(this.#foreign ? "camera_foreign" : "camera_aim");
    }
  }

  #saw(texts: string[]): void {
    const codes = texts.filter((text) => text.startsWith(OURS));
    this.#foreign = texts.length > 0 && codes.length === 0;
    say(byId("camera-note"), this.#note());
    const code = this.#sight.next(codes, this.#ready && Date.now() >= this.#holdUntil, Date.now());
    if (code !== null) this.#scan(code);
  }
}

function hold(outcome: Extract<Outcome, { kind: "scan" | "unchecked" }>): number {
  if (outcome.kind === "scan") return HOLD_MS[outcome.scan.verdict];
  return Math.max(HOLD_MS.unchecked, outcome.why === "busy" ? outcome.until - Date.now() : 0);
}
