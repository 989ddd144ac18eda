/**
 * Judges codes beside another reader: `npm run judge`. The first line of the input is a JSON Web Key Set of issuers, each
 * further one `[now, code, what the other one says]`. Writes how many codes it read, accepted and judged differently.
 */
import "./globals.ts";
import { createInterface } from "node:readline";
import { verifyCode, type IssuerKeys } from "../src/code/code.ts";
import { issuerKeys, type KeySet } from "../src/code/issuers.ts";
import { colourAt, testAt } from "../src/code/snapshot.ts";

/** Codes that are judged at the same time: signatures are checked by other threads. */
const TOGETHER = 64;

type Line = [now: number, text: string, expected: unknown];
const count = { read: 0, accepted: 0, differ: 0 };

async function judge(text: string, issuers: IssuerKeys, now: number): Promise<unknown> {
  const claims = await verifyCode(text, issuers, now);
  if (typeof claims === "string") return claims;
  const { issuer, issuedAt, validFrom, snapshot, paper, guardian } = claims;
  if (!snapshot) return [issuer, guardian, paper!.name, paper!.document];
  const { doses, complete, name, lag } = snapshot;
  const colour = colourAt(snapshot, validFrom, now);
  return [issuer, guardian, colour, testAt(snapshot, issuedAt, now), [doses, complete], name, lag];
}

async function compare([now, text, expected]: Line, issuers: IssuerKeys): Promise<void> {
  const judged = await judge(text, issuers, now);
  count.read += 1;
  if (typeof judged !== "string") count.accepted += 1;
  if (JSON.stringify(judged) === JSON.stringify(expected)) return;
  count.differ += 1;
  console.error(JSON.stringify({ now, text, expected, judged }));
}

let issuers: IssuerKeys | null = null;
let lines: Line[] = [];
const judgeLines = async (): Promise<void> => {
  const batch = lines;
  lines = [];
  await Promise.all(batch.map((line) => compare(line, issuers!)));
};
for await (const line of createInterface({ input: process.stdin })) {
  if (issuers === null) issuers = await issuerKeys(JSON.parse(line) as KeySet);
  else if (lines.push(JSON.parse(line) as Line) === TOGETHER) await judgeLines();
}
await judgeLines();
console.log(JSON.stringify([count.read, count.accepted, count.differ]));
