/** The worker that reads frames, so that the page stays responsive. Stores no frame. */
import { Reader } from "./reader.ts";

/** One frame, RGBA. The worker replies with the texts of its QR codes. */
export interface Frame {
  pixels: Uint8ClampedArray;
  width: number;
  height: number;
}

interface Worker {
  onmessage: (event: MessageEvent<Frame>) => void;
  postMessage(texts: string[]): void;
}

const reader = new Reader();
const worker = self as unknown as Worker;
worker.onmessage = ({ data: { pixels, width, height } }) => worker.postMessage(reader.read(pixels, width, height));
