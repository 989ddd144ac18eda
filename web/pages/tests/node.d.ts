/** What the tests use of Node; the pages use nothing of it. */
declare module "node:test" {
  export function test(claim: string, run: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  const assert: {
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    equal(actual: unknown, expected: unknown, message?: string): void;
    ok(value: unknown, message?: string): void;
  };
  export default assert;
}
declare module "node:fs" {
  export function readFileSync(path: string, encoding: "utf8"): string;
}
declare module "node:crypto" {
  export const webcrypto: Crypto;
}
declare module "node:readline" {
  export function createInterface(options: { input: unknown }): AsyncIterable<string>;
}
declare const process: { stdin: unknown };
declare function setImmediate(run: () => void): void;
