/** A whole offline bundle: its index, and the denylist. */
import { expect, type Bytes } from "../code/cbor.ts";
import { hex, sha256 } from "../code/p256.ts";
import { cover } from "./cover.ts";
import type { Emergency, Index, PartName } from "./index.ts";
import { TagSet } from "./tag-set.ts";

/** Whether a code is judged by a bundle: as usual, with a warning, without a pass; or why it is not. */
export type BundleState = "current" | "aging" | "old" | "over" | "clock";

/** How far this device's clock may be behind the release, in seconds. */
const CLOCK_SKEW = 60;

/** A part of the denylist, which is decoded once. */
export class Part {
  readonly bytes: Bytes;
  #tags: TagSet | null = null;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
  }

  /** Throws a `MalformedError` if it is no part. */
  get tags(): TagSet {
    return (this.#tags ??= new TagSet(this.bytes));
  }
}

/** Parts of the denylist by their names. */
export type Parts = ReadonlyMap<string, Part>;

export class Bundle {
  readonly index: Index;
  /** The parts that are used. */
  readonly parts: Parts;
  readonly #denied: ReadonlyMap<number, TagSet[]>;

  private constructor(index: Index, parts: Parts, denied: ReadonlyMap<number, TagSet[]>) {
    this.index = index;
    this.parts = parts;
    this.#denied = denied;
  }

  /**
   * Takes the parts that are `held`, and gets the others from `load`. Throws a `MalformedError` if the parts do not
   * cover all that was known at the release, or one is not the one that the index names.
   */
  static async of(index: Index, held: Parts, load: (part: PartName) => Promise<Bytes>): Promise<Bundle> {
    const parts = new Map<string, Part>();
    const denied = new Map<number, TagSet[]>();
    for (const [slot, named] of index.slots) {
      const needed = cover(named, index.releasedAt, ({ sha256 }) => held.has(sha256));
      expect(needed !== null);
      const sets: TagSet[] = [];
      for (const name of needed) {
        const part = held.get(name.sha256) ?? parts.get(name.sha256) ?? new Part(await load(name));
        expect(part.bytes.length === name.bytes && hex(await sha256(part.bytes)) === name.sha256);
        sets.push(part.tags);
        parts.set(name.sha256, part);
      }
      denied.set(slot, sets);
    }
    return new Bundle(index, parts, denied);
  }

  /** Whether the tag is denied in its slot; null if the bundle does not have the slot. */
  denies(slot: number, tag: Bytes): boolean | null {
    return this.#denied.get(slot)?.some((set) => set.matches(tag)) ?? null;
  }

  /** At `now`, in seconds since 1970 by the server's clock as far as it is known. */
  state(now: number): BundleState {
    const { releasedAt, warn, grace, stop } = this.index;
    const age = now - releasedAt;
    // The release lies behind, whatever the clock says.
    if (age < -CLOCK_SKEW) return "clock";
    if (age > stop && !this.emergency(now)) return "over";
    return age > grace ? "old" : age > warn ? "aging" : "current";
  }

  /** The acceptance of expired codes that is in force. */
  emergency(now: number): Emergency | null {
    const { emergency } = this.index;
    return emergency && now < emergency.until ? emergency : null;
  }
}

