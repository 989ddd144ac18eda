/** The camera as a source of QR codes. */
import { FrameReader } from "./frames.ts";

/** Why the camera is off; each has its text (`camera_…`). */
export type CameraFailure = "insecure" | "unsupported" | "refused" | "absent" | "taken" | "lost" | "failed";

export type CameraState =
  | { kind: "off"; failure: CameraFailure | null }
  | { kind: "opening" }
  /** `torch`: whether the lamp is on, null without a lamp; `others`: whether there is another camera. */
  | { kind: "on"; torch: boolean | null; others: boolean };

/** Missing in TypeScript's types of the DOM. */
type Torch = { torch?: boolean };

export interface CameraListener {
  changed(): void;
  /** The texts of the QR codes in one frame. */
  frameRead(texts: string[]): void;
}

/** Prefers the back camera. Off while the page is hidden; reopens when the page is visible again. */
export class Camera {
  readonly #video: HTMLVideoElement;
  readonly #listener: CameraListener;
  readonly #reader = new FrameReader();
  #state: CameraState = { kind: "off", failure: null };
  #track: MediaStreamTrack | undefined;
  #stopReading: (() => void) | undefined;
  #wakeLock: WakeLockSentinel | undefined;
  /** Raised by each opening and closing, so that a camera that opens too late is released. */
  #attempt = 0;
  #resume = false;
  /** The id of the chosen camera. */
  #device: string | undefined;

  constructor(video: HTMLVideoElement, listener: CameraListener) {
    this.#video = video;
    this.#listener = listener;
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
  }

  get state(): CameraState {
    return this.#state;
  }

  async open(): Promise<void> {
    this.close();
    const attempt = this.#attempt;
    if (!window.isSecureContext) return this.#off("insecure");
    if (!navigator.mediaDevices?.getUserMedia) return this.#off("unsupported");
    this.#setState({ kind: "opening" });
    try {
      const device = this.#device;
      const choice = device === undefined ? { facingMode: { ideal: "environment" } } : { deviceId: { exact: device } };
      const video = { ...choice, width: { ideal: 1_280 }, height: { ideal: 720 } };
      const mediaStream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
      const track = mediaStream.getVideoTracks()[0]!;
      if (attempt !== this.#attempt) return track.stop();
      this.#track = track;
      track.addEventListener("ended", () => this.#off("lost"));
      this.#video.srcObject = mediaStream;
      await this.#video.play();
      const devices = await navigator.mediaDevices.enumerateDevices();
      if (attempt !== this.#attempt) return;
      const { torch } = (track.getCapabilities?.() ?? {}) as Torch;
      const others = devices.filter(({ kind }) => kind === "videoinput").length > 1;
      const onTexts = (texts: string[]): void => this.#listener.frameRead(texts);
      this.#stopReading = this.#reader.read(this.#video, onTexts, () => this.#off("failed"));
      this.#setState({ kind: "on", torch: torch ? false : null, others });
      await this.#keepScreenOn(attempt);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#device = undefined;
      this.#off(failureFor(error));
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
    const constraints = { advanced: [{ torch } as MediaTrackConstraintSet & Torch] };
    const worked = await this.#track?.applyConstraints(constraints).then(
      () => true,
      () => false,
    );
    // A lamp that cannot be switched counts as absent.
    if (this.#state === state) this.#setState({ ...state, torch: worked ? torch : null });
  }

  /** Switches to the next camera of this device. */
  async useOther(): Promise<void> {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
    const current = cameras.indexOf(this.#track?.getSettings().deviceId ?? "");
    if (this.#state.kind !== "on") return;
    this.#device = cameras[(current + 1) % cameras.length];
    await this.open();
  }

  #off(failure: CameraFailure | null): void {
    this.#attempt++;
    this.#stopReading?.();
    this.#stopReading = undefined;
    this.#track?.stop();
    this.#track = undefined;
    this.#video.srcObject = null;
    void this.#wakeLock?.release();
    this.#wakeLock = undefined;
    this.#setState({ kind: "off", failure });
  }

  #setState(state: CameraState): void {
    this.#state = state;
    this.#listener.changed();
  }

  /** Keeps the screen on while the camera is open, if the browser can. */
  async #keepScreenOn(attempt: number): Promise<void> {
    const wakeLock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (attempt === this.#attempt) this.#wakeLock = wakeLock;
    else void wakeLock?.release();
  }

  #visibilityChanged(): void {
    if (document.hidden) {
      const resume = this.#state.kind !== "off";
      this.close();
      this.#resume = resume;
    } else if (this.#resume) {
      void this.open();
    }
  }
}

function failureFor(error: unknown): CameraFailure {
  // By its name: WebKit's OverconstrainedError is no DOMException.
  switch ((error as { name?: unknown } | undefined)?.name) {
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
