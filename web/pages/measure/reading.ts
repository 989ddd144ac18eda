/** How many disturbed codes the page's reader reads, the decoder alone beside it; see `tests/bench scan-page`. */
import { MAX_SIDE, Reader } from "../src/checkpoint/reader.ts";
import { codeLike, disturbance, moved, picture, seeded } from "./disturbed.ts";

const CODES = 200;
/** Half a second of a camera. */
const FRAMES = 5;

// However long it takes: the share is to be the same on every machine.
const patient = new Reader(Infinity);
const alone = new Reader(0);
const times: number[] = [];
const read = { alone: 0, first: 0, within: 0 };

function reads(reader: Reader, code: string, { data, width, height }: ReturnType<typeof picture>): boolean {
  const texts = reader.read(data, width, height);
  if (texts.some((text) => text !== code)) throw new Error("read what was not there");
  return texts.length > 0;
}

const random = seeded(20_220_104);
for (let i = 0; i < CODES; i++) {
  const code = codeLike(random);
  let how = disturbance(random);
  let frame = picture(code, MAX_SIDE, how, random);
  if (reads(alone, code, frame)) read.alone++;
  const began = performance.now();
  let found = reads(patient, code, frame);
  times.push(performance.now() - began);
  if (found) read.first++;
  for (let next = 1; next < FRAMES && !found; next++) {
    how = moved(how, random);
    frame = picture(code, MAX_SIDE, how, random);
    found = reads(patient, code, frame);
  }
  if (found) read.within++;
}
times.sort((a, b) => a - b);
const at = (share: number): string => times[Math.floor(CODES * share)]!.toFixed(0);
console.log(`${CODES} disturbed codes: ${read.first} read in the first frame, ${read.within} within ${FRAMES}; ` +
  `${read.alone} by the decoder alone in the first; ms a frame: p50 ${at(0.5)}, p95 ${at(0.95)}`);
