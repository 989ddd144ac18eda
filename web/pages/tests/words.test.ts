/** Every reason of a verdict has its text, so that no page shows a key or another language. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { signFor } from "../src/checkpoint/signs.ts";
import { words } from "../src/shared/words.ts";

test("every reason of a scan has an instruction, and every check a sign", () => {
  const api = readFileSync("../../docs/api.md", "utf8");
  const rows = [...api.matchAll(/^\| `(\w+)` \| (pass|check|stop) \|/gm)];
  assert.ok(rows.length >= 15, `${rows.length} reasons in docs/api.md`);
  for (const [, reason, verdict] of rows) {
    assert.ok(Object.hasOwn(words, `do_${reason}`), reason);
    const scan = { reason: reason!, verdict: verdict as "pass" | "check" | "stop" };
    assert.equal(signFor(scan) !== null, verdict === "check", reason);
  }
  const signs = ["yellow", "expired", "malformed"].map((reason) => signFor({ verdict: "check", reason }));
  assert.equal(new Set(signs).size, 3);
});
