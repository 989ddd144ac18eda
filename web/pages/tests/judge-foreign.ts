/**
 * Reads codes of other systems beside another reader: `npm run judge-foreign`. Each line of the input is `[now, code,
 * trust list as a part in base64, what the other one says]`. Writes how many codes it read, accepted and read differently.
 */
import "./globals.ts";
import { createInterface } from "node:readline";
import { readForeign } from "../src/foreign/foreign.ts";
import { dayText, timeText, type Certificate, type Proof } from "../src/foreign/statement.ts";
import { readTrustList, type Issuers } from "../src/foreign/trust.ts";

type Line = [now: number, code: string, trustList: string, expected: unknown];
const count = { read: 0, accepted: 0, differ: 0 };

function told(proof: Proof): unknown {
  switch (proof.kind) {
    case "vaccination":
      return [proof.disease, proof.doses.map(({ code, givenOn }) => [code, dayText(givenOn)]), proof.number, proof.series];
    case "test":
      return [proof.disease, proof.test, proof.result, timeText(proof.sampledAt)];
    case "recovery":
      return [proof.disease, ...[proof.firstPositiveOn, proof.validFrom, proof.validUntil].map(dayText)];
  }
}

const says = ({ country, issuer, name, born, proofs }: Certificate): unknown =>
  [country, issuer, name, born, proofs.map(told)];

let last: [string, Issuers] | null = null;
for await (const line of createInterface({ input: process.stdin })) {
  const [now, code, trustList, expected] = JSON.parse(line) as Line;
  if (last?.[0] !== trustList) {
    const trust = readTrustList(Uint8Array.from(atob(trustList), (character) => character.charCodeAt(0)));
    last = [trustList, { trust, revoked: [] }];
  }
  const read = await readForeign(code, last[1], now);
  count.read += 1;
  if (typeof read !== "string") count.accepted += 1;
  const said = typeof read === "string" ? read : says(read);
  if (JSON.stringify(said) === JSON.stringify(expected)) continue;
  count.differ += 1;
  console.error(JSON.stringify({ now, code, expected, said }));
}
console.log(JSON.stringify([count.read, count.accepted, count.differ]));
