/** The worker in which frames are read, so that the page stays quick. Keeps none of them. */
import { Reader } from "./reader.ts";

/** One frame, RGBA; answered with the texts in it. */
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
