/** Reads QR codes in pictures. */
import { _QRScanner } from "qr/decode.js";

/** Brightness, row by row. The decoder's format, I420, adds half as many bytes of colour, which the decoder ignores. */
interface Grey {
  data: Uint8Array;
  width: number;
  height: number;
}

/**
 * Side of the largest picture. The longest code has 73 modules with its border: 4 pixels each when it fills half the
 * side.
 */
export const MAX_SIDE = 720;

/**
 * Time for one picture: after it, the next frame is more promising. That frame starts with the variant that was due, so
 * a slow phone tries all variants too, over a few frames.
 */
const BUDGET_MS = 60;

/** For a sequence of pictures. */
export class Reader {
  readonly #scanner = new _QRScanner({ maxSize: { width: MAX_SIDE, height: MAX_SIDE }, effort: 4, timeLimit: 30 });
  readonly #budgetMs: number;
  /** Index of the variant to try next. */
  #nextVariant = 0;

  constructor(budgetMs = BUDGET_MS) {
    this.#budgetMs = budgetMs;
  }

  /** The texts of all QR codes in a picture (RGBA). */
  read(rgba: Uint8ClampedArray, width: number, height: number): string[] {
    const startedAt = performance.now();
    const grey = toGrey(rgba, width, height);
    let texts = this.#decode(grey);
    for (let attempt = 0; attempt < VARIANTS.length && texts.length === 0; attempt++) {
      if (performance.now() - startedAt > this.#budgetMs) break;
      texts = this.#decode(VARIANTS[this.#nextVariant]!(grey));
      this.#nextVariant = (this.#nextVariant + 1) % VARIANTS.length;
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
 * Transformed pictures, tried in turn. The decoder's guess of a code's fourth corner fails at some angles, among them
 * those of a phone held slightly askew, and noise hides a code of low contrast. Each variant was chosen for the codes
 * that it added to the others' over 150 pictures of `measure/`.
 */
const VARIANTS: readonly ((grey: Grey) => Grey)[] = [
  (grey) => warp(grey, Math.PI / 4, 0),
  (grey) => stretch(soften(grey)),
  (grey) => warp(soften(grey), 0, 0.15),
];

const emptyPicture = (width: number, height: number): Uint8Array => new Uint8Array((width * height * 3) / 2);

function toGrey(rgba: Uint8ClampedArray, width: number, height: number): Grey {
  const data = emptyPicture(width, height);
  for (let i = 0, from = 0; i < width * height; i++, from += 4) {
    data[i] = (77 * rgba[from]! + 150 * rgba[from + 1]! + 29 * rgba[from + 2]!) >> 8;
  }
  return { data, width, height };
}

/** Rotates around the middle by `angle` (radians), and tilts one corner back by `lean`. */
function warp({ data: from, width, height }: Grey, angle: number, lean: number): Grey {
  const data = emptyPicture(width, height);
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

/** Replaces each pixel by a weighted mean with its eight neighbours, which reduces noise. */
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

/** Stretches the contrast to the whole range, ignoring the darkest and the brightest 2 % of the pixels. */
function stretch({ data: from, width, height }: Grey): Grey {
  const pixels = width * height;
  const counts = new Uint32Array(256);
  for (let i = 0; i < pixels; i++) counts[from[i]!]!++;
  const darkest = percentile(counts, pixels * 0.02);
  const brightest = Math.max(darkest + 1, percentile(counts, pixels * 0.98));
  const data = emptyPicture(width, height);
  for (let i = 0; i < pixels; i++) {
    data[i] = Math.min(255, Math.max(0, ((from[i]! - darkest) * 255) / (brightest - darkest)));
  }
  return { data, width, height };
}

/** The lowest brightness that at least this number of pixels do not exceed. */
function percentile(counts: Uint32Array, pixels: number): number {
  let sum = 0;
  return counts.findIndex((count) => (sum += count) >= pixels);
}
