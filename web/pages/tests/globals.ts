/** What the pages' modules read of a browser when they are loaded. Imported before them. */
import { webcrypto } from "node:crypto";

const values = new Map<string, string>([["yima.lang", "zh"]]);
Object.assign(globalThis, { sessionStorage: { getItem: (key: string) => values.get(key) ?? null } });
// Node 18 has it only as a module.
globalThis.crypto ??= webcrypto;
