/**
 * Pictures of a code on a phone as a camera takes them: rotated, tilted, near or far, blurred, noisy, dim, with a
 * lamp's reflection. All derive from a seed, so that a changed decoder is measured with the same pictures.
 */
import encodeQR from "qr";

export interface Picture {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** The parameters of one picture. */
export interface Disturbance {
  /** Side of the symbol, as a fraction of the picture's. */
  scale: number;
  /** Rotation in the picture's plane, in degrees. */
  rotation: number;
  /** Rotation out of the picture's plane around two axes, in degrees. */
  tilt: [number, number];
  /** Standard deviation of a Gaussian, in pixels. */
  blur: number;
  /** Standard deviation of the noise; brightness is from 0 to 255. */
  noise: number;
  /** Brightness of white less that of black. */
  contrast: number;
  /** Brightness of black. */
  black: number;
  /** How much darker one side of the picture is, from 0 to 1. */
  shade: number;
  /** A reflection: its position from the middle and its radius, in modules, and its brightness; null without one. */
  glare: { x: number; y: number; radius: number; light: number } | null;
}

/** A pseudo-random number from 0 to 1 (mulberry32). */
export type Random = () => number;

export function seeded(seed: number): Random {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** A random text with the length and alphabet of the longest code. */
export function codeLike(random: Random): string {
  let text = "YM1:";
  while (text.length < 530) text += BASE45[Math.floor(random() * 45)];
  return text;
}

const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/**
 * Every picture is rotated, tilted, scaled, blurred and noisy. A third is dim, a third out of focus, a third has glare.
 */
export function disturbance(random: Random): Disturbance {
  const between = (low: number, high: number): number => low + (high - low) * random();
  const tilt = (): number => between(-25, 25);
  const contrast = random() < 1 / 3 ? between(25, 90) : between(90, 200);
  return {
    scale: between(0.3, 0.62),
    rotation: between(0, 360),
    tilt: [tilt(), tilt()],
    blur: random() < 1 / 3 ? between(1, 2) : between(0.3, 1),
    noise: between(2, 12),
    contrast,
    black: between(10, 230 - contrast),
    shade: between(0, 0.4),
    glare:
      random() < 1 / 3
        ? { x: between(-30, 30), y: between(-30, 30), radius: between(4, 12), light: between(40, 200) }
        : null,
  };
}

/** The parameters of the next frame, after a small movement of the hand. */
export function moved(how: Disturbance, random: Random): Disturbance {
  const by = (most: number): number => most * (2 * random() - 1);
  return {
    ...how,
    scale: how.scale * (1 + by(0.03)),
    rotation: how.rotation + by(3),
    tilt: [how.tilt[0] + by(3), how.tilt[1] + by(3)],
  };
}

const QUIET = 4;
/** Width of the phone's white card and of its dark edge around the quiet zone, in modules. */
const CARD = 4;
const EDGE = 3;
/** From the camera to the phone, in sides of the symbol: a shorter distance gives a tilt more perspective. */
const DISTANCE = 2.5;

export function picture(text: string, side: number, how: Disturbance, random: Random): Picture {
  const modules = encodeQR(text, "raw", { ecc: "low", border: QUIET });
  const light = render(modules, side, how);
  const blurred = blur(light, side, how.blur);
  const data = new Uint8ClampedArray(side * side * 4);
  for (let i = 0; i < side * side; i++) {
    const shade = 1 - how.shade * ((i % side) / side);
    const lit = (how.black + how.contrast * blurred.code[i]!) * shade + blurred.glare[i]!;
    const value = lit + how.noise * normal(random);
    data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = value;
    data[4 * i + 3] = 255;
  }
  return { data, width: side, height: side };
}

/** The code (0 black, 1 white) and the reflection's light of every pixel, before the lens blurs them. */
function render(modules: boolean[][], side: number, how: Disturbance): { code: Float32Array; glare: Float32Array } {
  const size = modules.length;
  const toModules = inverse(homography(side, size - 2 * QUIET, how));
  const code = new Float32Array(side * side);
  const glare = new Float32Array(side * side);
  const SAMPLES = 2;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (let s = 0; s < SAMPLES * SAMPLES; s++) {
        const px = x + ((s % SAMPLES) + 0.5) / SAMPLES;
        const py = y + (Math.floor(s / SAMPLES) + 0.5) / SAMPLES;
        const [u, v] = project(toModules, px, py);
        sum += brightnessAt(modules, u + size / 2, v + size / 2);
      }
      code[y * side + x] = sum / (SAMPLES * SAMPLES);
      if (how.glare) {
        const [u, v] = project(toModules, x, y);
        const distance = ((u - how.glare.x) ** 2 + (v - how.glare.y) ** 2) / how.glare.radius ** 2;
        glare[y * side + x] = how.glare.light * Math.exp(-distance);
      }
    }
  }
  return { code, glare };
}

/**
 * Brightness at a point in modules from the corner of the quiet zone; the card, the phone's edge and a coat surround
 * it.
 */
function brightnessAt(modules: boolean[][], u: number, v: number): number {
  const size = modules.length;
  const x = Math.floor(u);
  const y = Math.floor(v);
  const inside = modules[y]?.[x];
  if (inside !== undefined) return inside ? 0 : 1;
  const distance = Math.max(-u, -v, u - size, v - size);
  if (distance < CARD) return 1;
  return distance < CARD + EDGE ? 0 : 0.45 + 0.15 * Math.sin(u / 5) * Math.cos(v / 7);
}

type Matrix = readonly [number, number, number, number, number, number, number, number, number];

/** Maps modules from the symbol's middle to pixels. */
function homography(side: number, modules: number, how: Disturbance): Matrix {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const [a, b, c] = [radians(how.rotation), radians(how.tilt[0]), radians(how.tilt[1])];
  const [ca, sa, cb, sb, cc, sc] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), Math.cos(c), Math.sin(c)];
  // Rotates in the plane, then around x, then around y; z points away from the camera.
  const row = (x: number, y: number): [number, number, number] => {
    const [x1, y1] = [ca * x - sa * y, sa * x + ca * y];
    const [y2, z2] = [cb * y1, sb * y1];
    return [cc * x1 + sc * z2, y2, -sc * x1 + cc * z2];
  };
  const [ex, ey] = [row(1, 0), row(0, 1)];
  const pixels = (how.scale * side) / modules;
  const depth = 1 / (DISTANCE * modules);
  const middle = side / 2;
  return [
    pixels * ex[0] + middle * depth * ex[2], pixels * ey[0] + middle * depth * ey[2], middle,
    pixels * ex[1] + middle * depth * ex[2], pixels * ey[1] + middle * depth * ey[2], middle,
    depth * ex[2], depth * ey[2], 1,
  ];
}

function inverse([a, b, c, d, e, f, g, h, i]: Matrix): Matrix {
  return [
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  ];
}

function project([a, b, c, d, e, f, g, h, i]: Matrix, x: number, y: number): [number, number] {
  const w = g * x + h * y + i;
  return [(a * x + b * y + c) / w, (d * x + e * y + f) / w];
}

function blur(
  { code, glare }: { code: Float32Array; glare: Float32Array },
  side: number,
  deviation: number,
): { code: Float32Array; glare: Float32Array } {
  const reach = Math.ceil(3 * deviation);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * deviation ** 2)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const pass = (from: Float32Array, step: number): Float32Array => {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      let sum = 0;
      for (let k = -reach; k <= reach; k++) {
        const at = step === 1 ? i % side : Math.floor(i / side);
        // Beyond the picture, its edge is repeated.
        const over = Math.min(side - 1, Math.max(0, at + k)) - at;
        sum += weights[k + reach]! * from[i + over * step]!;
      }
      to[i] = sum / total;
    }
    return to;
  };
  return { code: pass(pass(code, 1), side), glare };
}
