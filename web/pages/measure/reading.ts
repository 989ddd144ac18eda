/**
 * Measures how many disturbed codes the page's reader reads, compared with the decoder alone: `tests/bench scan-page`.
 */
import encodeQR from "qr";
import { MAX_SIDE, Reader } from "../src/checkpoint/reader.ts";
import { codeLike, disturbance, moved, picture, seeded } from "./disturbed.ts";

const CODES = 200;
/** Frames for each code: half a second of a camera. */
const FRAMES = 5;

// Without a time budget, so that every machine measures the same share.
const withVariants = new Reader(Infinity);
const decoderOnly = new Reader(0);
const times: number[] = [];
const counts = { decoderOnly: 0, firstFrame: 0, anyFrame: 0 };

function reads(reader: Reader, code: string, { data, width, height }: ReturnType<typeof picture>): boolean {
  const texts = reader.read(data, width, height);
  if (texts.some((text) => text !== code)) throw new Error("the reader returned a text that is not in the picture");
  return texts.length > 0;
}

const random = seeded(20_220_104);
for (let i = 0; i < CODES; i++) {
  const code = codeLike(random);
  let how = disturbance(random);
  let frame = picture(code, MAX_SIDE, how, random);
  if (reads(decoderOnly, code, frame)) counts.decoderOnly++;
  const startedAt = performance.now();
  let found = reads(withVariants, code, frame);
  times.push(performance.now() - startedAt);
  if (found) counts.firstFrame++;
  for (let next = 1; next < FRAMES && !found; next++) {
    how = moved(how, random);
    frame = picture(code, MAX_SIDE, how, random);
    found = reads(withVariants, code, frame);
  }
  if (found) counts.anyFrame++;
}
const modules = encodeQR(codeLike(random), "raw", { ecc: "low", border: 1 }).length - 2;
const version = (modules - 17) / 4;
times.sort((a, b) => a - b);
const at = (share: number): string => times[Math.floor(CODES * share)]!.toFixed(0);
console.log(`${CODES} disturbed codes of QR version ${version}: ${counts.firstFrame} read in the first frame, ` +
  `${counts.anyFrame} within ${FRAMES}; ` +
  `${counts.decoderOnly} by the decoder alone in the first; ms a frame: p50 ${at(0.5)}, p95 ${at(0.95)}`);
