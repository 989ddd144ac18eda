import { FrameReader } from "./frames.ts";

/** Why there is no picture; each has its words. */
export type Trouble = "insecure" | "unsupported" | "refused" | "absent" | "taken" | "lost" | "failed";

export type CameraState =
  | { kind: "off"; trouble: Trouble | null }
  | { kind: "opening" }
  /** `torch`: whether the lamp is on, null without one; `others`: whether there is another camera. */
  | { kind: "on"; torch: boolean | null; others: boolean };

/** A lamp is not in every browser's types yet. */
type Torch = { torch?: boolean };

export interface Watcher {
  changed(): void;
  /** The texts of the codes in one frame. */
  saw(texts: string[]): void;
}

/** The camera: the back one first. It is off whenever the page is not seen, and comes back with it. */
export class Camera {
  readonly #video: HTMLVideoElement;
  readonly #watcher: Watcher;
  readonly #reader = new FrameReader();
  #state: CameraState = { kind: "off", trouble: null };
  #track: MediaStreamTrack | undefined;
  #stopReading: (() => void) | undefined;
  #awake: WakeLockSentinel | undefined;
  /** Raised by each opening and closing, so that a camera that comes too late is let go. */
  #turn = 0;
  #resume = false;
  /** The one that was chosen, of this time's cameras. */
  #device: string | undefined;

  constructor(video: HTMLVideoElement, watcher: Watcher) {
    this.#video = video;
    this.#watcher = watcher;
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  get state(): CameraState {
    return this.#state;
  }

  async open(): Promise<void> {
    this.close();
    const turn = this.#turn;
    if (!window.isSecureContext) return this.#off("insecure");
    if (!navigator.mediaDevices?.getUserMedia) return this.#off("unsupported");
    this.#become({ kind: "opening" });
    try {
      const device = this.#device;
      const which = device === undefined ? { facingMode: { ideal: "environment" } } : { deviceId: { exact: device } };
      const video = { ...which, width: { ideal: 1_280 }, height: { ideal: 720 } };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
      const track = stream.getVideoTracks()[0]!;
      if (turn !== this.#turn) return track.stop();
      this.#track = track;
      track.addEventListener("ended", () => this.#off("lost"));
      this.#video.srcObject = stream;
      await this.#video.play();
      const devices = await navigator.mediaDevices.enumerateDevices();
      if (turn !== this.#turn) return;
      const { torch } = (track.getCapabilities?.() ?? {}) as Torch;
      const others = devices.filter(({ kind }) => kind === "videoinput").length > 1;
      this.#stopReading = this.#reader.read(this.#video, (texts) => this.#watcher.saw(texts), () => this.#off("failed"));
      this.#become({ kind: "on", torch: torch ? false : null, others });
      await this.#keepAwake(turn);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#device = undefined;
      this.#off(trouble(error));
    }
  }

  close(): void {
    this.#resume = false;
    this.#off(null);
  }

  async switchTorch(): Promise<void> {
    const state = this.#state;
    if (state.kind !== "on" || state.torch === null) return;
    const torch = !state.torch;
    const worked = await this.#track?.applyConstraints({ advanced: [{ torch } as MediaTrackConstraintSet & Torch] }).then(
      () => true,
      () => false,
    );
    // A lamp that does not obey is none.
    if (this.#state === state) this.#become({ ...state, torch: worked ? torch : null });
  }

  /** The next camera of this machine. */
  async other(): Promise<void> {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
    const now = cameras.indexOf(this.#track?.getSettings().deviceId ?? "");
    if (this.#state.kind !== "on") return;
    this.#device = cameras[(now + 1) % cameras.length];
    await this.open();
  }

  #off(why: Trouble | null): void {
    this.#turn++;
    this.#stopReading?.();
    this.#stopReading = undefined;
    this.#track?.stop();
    this.#track = undefined;
    this.#video.srcObject = null;
    void this.#awake?.release();
    this.#awake = undefined;
    this.#become({ kind: "off", trouble: why });
  }

  #become(state: CameraState): void {
    this.#state = state;
    this.#watcher.changed();
  }

  /** The screen stays on while somebody scans, where the browser can. */
  async #keepAwake(turn: number): Promise<void> {
    const awake = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (turn === this.#turn) this.#awake = awake;
    else void awake?.release();
  }

  #seen(): void {
    if (document.hidden) {
      const resume = this.#state.kind !== "off";
      this.close();
      this.#resume = resume;
    } else if (this.#resume) {
      void this.open();
    }
  }
}

function trouble(error: unknown): Trouble {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "absent";
    case "NotReadableError":
    case "AbortError":
      return "taken";
    default:
      return "failed";
  }
}
