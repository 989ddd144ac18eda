/** The shapes beside colours and verdicts, so that a colour-blind reader can tell them apart. */
import { svg } from "./dom.ts";
import type { ColourCode, Verdict } from "./types.ts";

type Shape =
  | "tick"
  | "triangle"
  | "octagon"
  | "dash"
  | "question"
  | "frame"
  | "clock"
  | "broken"
  | "tube"
  | "card"
  | "cloud"
  | "globe";

const LINE = { fill: "none", "stroke-width": "6", "stroke-linecap": "round", "stroke-linejoin": "round" };

// [filled outline, mark drawn over it], in a 64-unit square.
const PATHS: Record<Shape, readonly [string, string]> = {
  tick: ["M32 2a30 30 0 1 0 0 60a30 30 0 1 0 0-60z", "m19 33 9 10 18-21"],
  triangle: [
    "M27.7 5.6 2.2 51.5A5 5 0 0 0 6.6 59h50.8a5 5 0 0 0 4.4-7.5L36.3 5.6a5 5 0 0 0-8.6 0z",
    "M32 22v16M32 48v.1",
  ],
  octagon: ["M20 3h24l17 17v24l-17 17h-24l-17-17v-24z", "M18 32h28"],
  dash: ["M12 6h40a6 6 0 0 1 6 6v40a6 6 0 0 1-6 6h-40a6 6 0 0 1-6-6v-40a6 6 0 0 1 6-6z", "M21 32h22"],
  question: ["", "M23 24a9 9 0 1 1 13 8c-3 1.600-4 3.500-4 7M32 49v.1"],
  clock: ["", "M32 5a27 27 0 1 0 0 54a27 27 0 1 0 0-54zM32 16v17l11 7"],
  broken: ["", "M6 18V6h12M46 6h12v12M58 46v12H46M18 58H6V46M21 21l22 22M43 21 21 43"],
  tube: ["", "M18 6h28M23 6v41a9 9 0 0 0 18 0V6M23 32h18"],
  card: [
    "",
    "M7 12h50v40H7zM22 25a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM14 44c1-5 15-5 16 0M38 26h12M38 37h12",
  ],
  cloud: ["", "M18 50h29a12 12 0 0 0 1-24a17 17 0 0 0-33-1a13 13 0 0 0 3 25zM27 37h.1M33 37h.1M39 37h.1"],
  globe: ["", "M32 5a27 27 0 1 0 0 54a27 27 0 1 0 0-54zM5 32h54M32 5c-15 12-15 42 0 54M32 5c15 12 15 42 0 54"],
  frame: ["", "M6 20V6h14M44 6h14v14M58 44v14H44M20 58H6V44M14 32h36"],
};

/** What a verdict "check" is about. */
export type Sign =
  | "yellow"
  | "expired"
  | "early"
  | "unreadable"
  | "test"
  | "unregistered"
  | "identity"
  | "unproved"
  | "foreign";

const SHAPES: Record<ColourCode | Verdict | Sign | "unchecked" | "idle", Shape> = {
  green: "tick",
  pass: "tick",
  yellow: "triangle",
  check: "triangle",
  red: "octagon",
  stop: "octagon",
  none: "dash",
  expired: "clock",
  early: "clock",
  unreadable: "broken",
  test: "tube",
  unregistered: "card",
  identity: "card",
  unproved: "cloud",
  foreign: "globe",
  unchecked: "question",
  idle: "frame",
};

/**
 * The shape of a colour, verdict or sign, a question mark for any other name. Hidden from screen readers, since words
 * repeat it.
 */
export function shape(name: string): SVGElement {
  const kind = Object.hasOwn(SHAPES, name) ? SHAPES[name as keyof typeof SHAPES] : "question";
  const [outline, mark] = PATHS[kind];
  return svg(
    "svg",
    { viewBox: "0 0 64 64", class: `shape shape-${kind}`, "aria-hidden": "true", focusable: "false" },
    svg("path", { d: outline, class: "shape-body" }),
    svg("path", { d: mark, class: "shape-mark", ...LINE }),
  );
}
