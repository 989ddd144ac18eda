/** A whole offline bundle: its index, the denylist, and the lists for codes of other systems. */
import { expect, type Bytes } from "../code/cbor.ts";
import { hex, sha256 } from "../code/p256.ts";
import { cover } from "./cover.ts";
import type { ForeignParts } from "../foreign/foreign.ts";
import type { Blob, Emergency, Index } from "./index.ts";
import { TagSet } from "./tag-set.ts";

/** Whether a code is judged by a bundle: as usual, with a warning, without a pass; or why it is not. */
export type BundleState = "current" | "aging" | "old" | "over" | "clock";

/** How far this device's clock may be behind the release, in seconds. */
const CLOCK_SKEW = 60;

/** A part: one of the denylist is decoded once. */
export class Part {
  readonly bytes: Bytes;
  #tags: TagSet | null = null;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
  }

  /** Throws a `MalformedError` if it is no part of the denylist. */
  get tags(): TagSet {
    return (this.#tags ??= new TagSet(this.bytes));
  }
}

/** Parts by their names. */
export type Parts = ReadonlyMap<string, Part>;

export class Bundle {
  readonly index: Index;
  /** The parts that are used. */
  readonly parts: Parts;
  /** What codes of other systems are judged by; null: by nothing. */
  readonly foreign: ForeignParts | null;
  readonly #denied: ReadonlyMap<number, TagSet[]>;

  private constructor(
    index: Index,
    parts: Parts,
    foreign: ForeignParts | null,
    denied: ReadonlyMap<number, TagSet[]>,
  ) {
    this.index = index;
    this.parts = parts;
    this.foreign = foreign;
    this.#denied = denied;
  }

  /**
   * Takes the parts that are `held`, and gets the others from `load`. Throws a `MalformedError` if the parts do not
   * cover all that was known at the release, or one is not the one that the index names.
   */
  static async of(index: Index, held: Parts, load: (part: Blob) => Promise<Bytes>): Promise<Bundle> {
    const parts = new Map<string, Part>();
    const take = async (name: Blob): Promise<Part> => {
      const part = held.get(name.sha256) ?? parts.get(name.sha256) ?? new Part(await load(name));
      expect(part.bytes.length === name.bytes && hex(await sha256(part.bytes)) === name.sha256);
      parts.set(name.sha256, part);
      return part;
    };
    const denied = new Map<number, TagSet[]>();
    for (const [slot, named] of index.slots) {
      const needed = cover(named, index.releasedAt, ({ sha256 }) => held.has(sha256));
      expect(needed !== null);
      const sets: TagSet[] = [];
      for (const name of needed) sets.push((await take(name)).tags);
      denied.set(slot, sets);
    }
    const named = index.foreign;
    const foreign = named && {
      trustList: (await take(named.trustList)).bytes,
      acceptance: (await take(named.acceptance)).bytes,
      revocations: (await take(named.revocations)).bytes,
    };
    return new Bundle(index, parts, foreign, denied);
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

