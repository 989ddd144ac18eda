/** Sends frames of the camera to the worker. */
import type { Frame } from "./reader-worker.ts";
import { MAX_SIDE } from "./reader.ts";

/** Ten frames a second are enough for a moving hand, and save the battery. */
const PERIOD_MS = 100;

/** Loads the worker together with the page, so that a camera opened while the service is down works too. */
export class FrameReader {
  #worker: Worker | undefined;

  constructor() {
    this.#load();
  }

  /**
   * Reads the middle square of the video, one frame at a time and always the newest; no frame is queued. Calls
   * `onTexts` with the texts of each frame. Returns a function that stops.
   */
  read(video: HTMLVideoElement, onTexts: (texts: string[]) => void, failed: () => void): () => void {
    const worker = this.#worker ?? this.#load();
    // The page reads the pixels: on some phones a worker cannot.
    const context = document.createElement("canvas").getContext("2d", { alpha: false, willReadFrequently: true })!;
    let reading = false;
    let stopped = false;
    let last = -Infinity;

    worker.onmessage = ({ data }: MessageEvent<string[]>) => {
      reading = false;
      if (!stopped) onTexts(data);
    };
    worker.onerror = () => {
      this.#worker = undefined;
      if (!stopped) failed();
    };

    const readNext = (): void => {
      if (stopped) return;
      schedule(video, readNext);
      if (reading || performance.now() - last < PERIOD_MS || video.videoWidth === 0) return;
      reading = true;
      last = performance.now();
      const frame = middleSquare(video, context);
      worker.postMessage(frame, [frame.pixels.buffer]);
    };
    readNext();
    return () => {
      stopped = true;
    };
  }

  #load(): Worker {
    const worker = (this.#worker = new Worker("/assets/reader-worker.js"));
    // Opening the camera loads it again.
    worker.onerror = () => (this.#worker = undefined);
    return worker;
  }
}

/** Calls `readNext` at the next frame if the browser reports frames, else after a fixed time. */
function schedule(video: HTMLVideoElement, readNext: () => void): void {
  if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(readNext);
  else setTimeout(readNext, PERIOD_MS / 2);
}

function middleSquare(video: HTMLVideoElement, context: CanvasRenderingContext2D): Frame {
  const { videoWidth, videoHeight } = video;
  const sourceSide = Math.min(videoWidth, videoHeight);
  // The decoder needs an even number.
  const side = Math.min(sourceSide, MAX_SIDE) & ~1;
  const { canvas } = context;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const [left, top] = [(videoWidth - sourceSide) / 2, (videoHeight - sourceSide) / 2];
  context.drawImage(video, left, top, sourceSide, sourceSide, 0, 0, side, side);
  return { pixels: context.getImageData(0, 0, side, side).data, width: side, height: side };
}
