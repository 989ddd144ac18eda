/** The part of a token that a scanner without a network judges by. */
import type { ColourCode } from "../shared/types.ts";
import { expect, type Reader } from "./cbor.ts";

export type TestResultCode = "negative" | "positive" | "inconclusive" | "invalid";

export interface Snapshot {
  /** How long before the token's issue the data was true, in seconds. */
  lag: number;
  /** The colour in the quarter of an hour with the token's `validFrom`. */
  colour: ColourCode;
  /** Later colours: from which quarter of an hour after that one, ascending. */
  changes: [number, ColourCode][];
  /** The newest conclusive nucleic-acid test, and its age at the token's issue in hours, rounded up. */
  test: [TestResultCode, number] | null;
  doses: number;
  complete: boolean;
  /** Masked. */
  name: string | null;
}

const COLOURS = ["green", "yellow", "red", "none"] as const;
const RESULTS = ["negative", "positive", "inconclusive", "invalid"] as const;
const MAX_CHANGES = 8;
export const MAX_NAME_BYTES = 40;
const QUARTER_S = 900;

export function readSnapshot(reader: Reader): Snapshot {
  expect(reader.array() === 6);
  const lag = reader.anyUint();
  const items = reader.array();
  expect(items % 2 === 1 && items <= 1 + 2 * MAX_CHANGES);
  const colour = COLOURS[reader.uint(COLOURS.length - 1)]!;
  const changes: Snapshot["changes"] = [];
  for (let before = 0; changes.length < (items - 1) / 2; ) {
    const quarter = reader.uint(0xffff);
    expect(quarter > before);
    before = quarter;
    changes.push([quarter, COLOURS[reader.uint(COLOURS.length - 1)]!]);
  }
  const test = reader.nullable((): [TestResultCode, number] => {
    expect(reader.array() === 2);
    return [RESULTS[reader.uint(RESULTS.length - 1)]!, reader.uint(0xffff_ffff)];
  });
  const doses = reader.uint(255);
  const complete = reader.bool();
  const name = reader.nullable(() => reader.text(MAX_NAME_BYTES));
  return { lag, colour, changes, test, doses, complete, name };
}

/** The colour at `now`, as far as the token says. Times in seconds since 1970. */
export function colourAt({ colour, changes }: Snapshot, validFrom: number, now: number): ColourCode {
  const passed = Math.floor(now / QUARTER_S) - Math.floor(validFrom / QUARTER_S);
  return changes.filter(([quarter]) => quarter <= passed).at(-1)?.[1] ?? colour;
}

/** The result of the newest conclusive test, and its age at `now` in seconds at most. */
export function testAt({ test }: Snapshot, issuedAt: number, now: number): [TestResultCode, number] | null {
  return test && [test[0], test[1] * 3_600 + Math.max(0, now - issuedAt)];
}
