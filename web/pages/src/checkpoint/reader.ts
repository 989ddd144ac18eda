import { _QRScanner } from "qr/decode.js";

/** Brightness of a picture, row by row; the decoder's I420 has half as much of colour behind it, which it passes over. */
export interface Grey {
  data: Uint8Array;
  width: number;
  height: number;
}

/** The largest picture's side: the longest code has 73 modules with its border, so 4 pixels a module when it fills half of that. */
export const MAX_SIDE = 720;

/**
 * After this the next frame is a better use of the time. What was not tried then comes first in it, so a slow phone tries
 * everything too, over a few frames.
 */
const BUDGET_MS = 60;

/** Reads the codes in one picture after another. */
export class Reader {
  readonly #scanner = new _QRScanner({ maxSize: { width: MAX_SIDE, height: MAX_SIDE }, effort: 4, timeLimit: 30 });
  readonly #budgetMs: number;
  #turn = 0;

  constructor(budgetMs = BUDGET_MS) {
    this.#budgetMs = budgetMs;
  }

  /** All texts that are in the picture, RGBA. */
  read(rgba: Uint8ClampedArray, width: number, height: number): string[] {
    const began = performance.now();
    const grey = brightness(rgba, width, height);
    let texts = this.#decode(grey);
    for (let tries = 0; tries < AGAIN.length && texts.length === 0; tries++) {
      if (performance.now() - began > this.#budgetMs) break;
      texts = this.#decode(AGAIN[this.#turn]!(grey));
      this.#turn = (this.#turn + 1) % AGAIN.length;
    }
    this.#scanner.clean();
    return texts;
  }

  #decode(grey: Grey): string[] {
    this.#scanner.addImage(grey, "I420");
    return this.#scanner.decode(true).filter((result) => typeof result === "string");
  }
}

/**
 * The same picture seen otherwise. The decoder's guess of a code's fourth corner fails at some angles, those of a phone held a
 * little askew among them, and noise hides a code of little contrast. Chosen by what each added to the others over 150
 * pictures of `measure/`.
 */
const AGAIN: readonly ((grey: Grey) => Grey)[] = [
  (grey) => warp(grey, Math.PI / 4, 0),
  (grey) => stretch(soften(grey)),
  (grey) => warp(soften(grey), 0, 0.15),
];

const empty = (width: number, height: number): Uint8Array => new Uint8Array((width * height * 3) / 2);

function brightness(rgba: Uint8ClampedArray, width: number, height: number): Grey {
  const data = empty(width, height);
  for (let i = 0, from = 0; i < width * height; i++, from += 4) {
    data[i] = (77 * rgba[from]! + 150 * rgba[from + 1]! + 29 * rgba[from + 2]!) >> 8;
  }
  return { data, width, height };
}

/** Turned around the middle by that angle, and leaning back at one corner as if tilted. */
function warp({ data: from, width, height }: Grey, angle: number, lean: number): Grey {
  const data = empty(width, height);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  let to = 0;
  for (let row = 0; row < height; row++) {
    const y = row - height / 2;
    for (let column = 0; column < width; column++, to++) {
      const x = column - width / 2;
      const near = 1 - (lean * (x + y)) / width;
      const sourceX = (cos * x - sin * y) / near + width / 2;
      const sourceY = (sin * x + cos * y) / near + height / 2;
      const left = Math.floor(sourceX);
      const top = Math.floor(sourceY);
      if (left < 0 || top < 0 || left >= width - 1 || top >= height - 1) {
        data[to] = 128;
        continue;
      }
      const [right, down] = [sourceX - left, sourceY - top];
      const at = top * width + left;
      const upper = from[at]! + right * (from[at + 1]! - from[at]!);
      const lower = from[at + width]! + right * (from[at + width + 1]! - from[at + width]!);
      data[to] = upper + down * (lower - upper);
    }
  }
  return { data, width, height };
}

/** The mean of each pixel and its neighbours, the near ones counting more: less noise. */
function soften({ data: from, width, height }: Grey): Grey {
  const data = from.slice();
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * width + 1; i < (y + 1) * width - 1; i++) {
      const corners = from[i - width - 1]! + from[i - width + 1]! + from[i + width - 1]! + from[i + width + 1]!;
      const sides = from[i - width]! + from[i - 1]! + from[i + 1]! + from[i + width]!;
      data[i] = (corners + 2 * sides + 4 * from[i]!) >> 4;
    }
  }
  return { data, width, height };
}

/** From the darkest to the brightest, but for 2 % at either end, over the whole range. */
function stretch({ data: from, width, height }: Grey): Grey {
  const pixels = width * height;
  const counts = new Uint32Array(256);
  for (let i = 0; i < pixels; i++) counts[from[i]!]!++;
  const darkest = reached(counts, pixels * 0.02);
  const brightest = Math.max(darkest + 1, reached(counts, pixels * 0.98));
  const data = empty(width, height);
  for (let i = 0; i < pixels; i++) {
    data[i] = Math.min(255, Math.max(0, ((from[i]! - darkest) * 255) / (brightest - darkest)));
  }
  return { data, width, height };
}

/** The brightness that so many pixels do not exceed. */
function reached(counts: Uint32Array, pixels: number): number {
  let sum = 0;
  return counts.findIndex((count) => (sum += count) >= pixels);
}
