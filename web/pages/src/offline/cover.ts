/** Which parts of a slot a reader needs. */
import type { PartName } from "./index.ts";

/**
 * The parts that cover everything known up to `releasedAt`: at each moment the longest one that `isHeld`, else the
 * longest one. null: the parts do not cover it.
 */
export function cover(
  parts: PartName[],
  releasedAt: number,
  isHeld: (part: PartName) => boolean,
): PartName[] | null {
  const chosen: PartName[] = [];
  let at = 0;
  while (at < releasedAt) {
    const fromHere = parts.filter(({ from }) => from === at);
    const held = fromHere.filter(isHeld);
    // In the order of their ends.
    const next = (held.length > 0 ? held : fromHere).at(-1);
    if (!next) return null;
    chosen.push(next);
    at = next.to;
  }
  return at === releasedAt ? chosen : null;
}
