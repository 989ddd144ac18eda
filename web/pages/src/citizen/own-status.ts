/** What a phone knows of its holder by itself: the token in force has the colours of its time. */
import { colourAt, testAt, type TestResultCode } from "../code/snapshot.ts";
import type { Claims } from "../code/token.ts";
import type { ColourCode, Identity } from "../shared/types.ts";

export interface OwnStatus {
  colour: ColourCode;
  /** Of which moment it is true: ms since 1970. */
  asOf: number;
  identity: Identity | null;
  /** The newest conclusive nucleic-acid test, and how many hours ago it was at most. */
  test: { result: TestResultCode; hours: number } | null;
  doses: number;
  complete: boolean;
}

/** By the token's claims at `now`, in ms since 1970. */
export function ownStatus({ issuedAt, validFrom, snapshot }: Claims, identity: Identity | null, now: number): OwnStatus {
  if (!snapshot) throw new Error("a phone's token has a snapshot");
  const seconds = Math.floor(now / 1_000);
  const test = testAt(snapshot, issuedAt, seconds);
  return {
    colour: colourAt(snapshot, validFrom, seconds),
    asOf: (issuedAt - snapshot.lag) * 1_000,
    identity: identity ?? { name: snapshot.name, document: null },
    test: test && { result: test[0], hours: Math.ceil(test[1] / 3_600) },
    doses: snapshot.doses,
    complete: snapshot.complete,
  };
}

/** The least restrictive first. A closed record is none, and nothing may pass for it. */
const STRICTNESS: Record<ColourCode, number> = { green: 0, yellow: 1, red: 2, none: 3 };

/** Whether a colour permits more than another one. */
export function isLaxer(colour: ColourCode, other: ColourCode): boolean {
  return STRICTNESS[colour] < STRICTNESS[other];
}
