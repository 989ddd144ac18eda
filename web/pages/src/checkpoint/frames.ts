import type { Frame } from "./reader-worker.ts";
import { MAX_SIDE } from "./reader.ts";

/** Ten frames a second are more than a hand needs, and spare the battery. */
const PERIOD_MS = 100;

/** The worker that reads frames. It comes with the page, so that a camera opened while the service is away works all the same. */
export class FrameReader {
  #worker: Worker | undefined;

  constructor() {
    this.#load();
  }

  /**
   * Hands over what the camera sees: the middle square, one frame at a time and always the newest; none waits. `found` gets the
   * texts of each frame. Returns what ends it.
   */
  read(video: HTMLVideoElement, found: (texts: string[]) => void, failed: () => void): () => void {
    const worker = this.#worker ?? this.#load();
    // Pixels are taken here: not every phone's worker can.
    const context = document.createElement("canvas").getContext("2d", { alpha: false, willReadFrequently: true })!;
    let reading = false;
    let stopped = false;
    let last = -Infinity;

    worker.onmessage = ({ data }: MessageEvent<string[]>) => {
      reading = false;
      if (!stopped) found(data);
    };
    worker.onerror = () => {
      this.#worker = undefined;
      if (!stopped) failed();
    };

    const look = (): void => {
      if (stopped) return;
      schedule(video, look);
      if (reading || performance.now() - last < PERIOD_MS || video.videoWidth === 0) return;
      reading = true;
      last = performance.now();
      const frame = middle(video, context);
      worker.postMessage(frame, [frame.pixels.buffer]);
    };
    look();
    return () => {
      stopped = true;
    };
  }

  #load(): Worker {
    const worker = (this.#worker = new Worker("/assets/reader-worker.js"));
    // The next camera tries again.
    worker.onerror = () => (this.#worker = undefined);
    return worker;
  }
}

/** At the next frame, where the browser tells. */
function schedule(video: HTMLVideoElement, look: () => void): void {
  if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(look);
  else setTimeout(look, PERIOD_MS / 2);
}

function middle(video: HTMLVideoElement, context: CanvasRenderingContext2D): Frame {
  const { videoWidth, videoHeight } = video;
  const from = Math.min(videoWidth, videoHeight);
  // Even, as the decoder wants it.
  const side = Math.min(from, MAX_SIDE) & ~1;
  const { canvas } = context;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  context.drawImage(video, (videoWidth - from) / 2, (videoHeight - from) / 2, from, from, 0, 0, side, side);
  return { pixels: context.getImageData(0, 0, side, side).data, width: side, height: side };
}
