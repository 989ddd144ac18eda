/** What hand scanners type, on the computers on which they type it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHealthCode, readTyped, saysItsLength, startsCode } from "../src/checkpoint/typed-code.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** Bytes behind the token, by the number of items: of an earlier program, without a phone's key, with one. */
const BEHIND: Record<number, number> = { 1: 0, 2: 9, 4: 80 };

/** A text of the form of a code, of `length` bytes in its token; all characters of Base45 appear. */
function codeOf(length: number, seed: number, items: 1 | 2 | 4 = 4): string {
  const head = length < 256 ? [0x80 | items, 0x58, length] : [0x80 | items, 0x59, length >> 8, length & 255];
  const rest = Array.from({ length: length + BEHIND[items]! }, (_, i) => (i * (2 * seed + 1) + seed) & 255);
  const bytes = [...head, ...rest];
  let code = "YM1:";
  for (let i = 0; i < bytes.length; i += 2) {
    const whole = i + 1 < bytes.length;
    const value = whole ? bytes[i]! * 256 + bytes[i + 1]! : bytes[i]!;
    code += DIGITS[value % 45]! + DIGITS[Math.floor(value / 45) % 45]!;
    if (whole) code += DIGITS[Math.floor(value / 2_025)]!;
  }
  return code;
}

const [ONE, TWO] = [codeOf(230, 17), codeOf(231, 40)];
const code = (text: string) => ({ kind: "code", code: text });

test("a code is read with a scanner's framing, prefixes and suffixes", () => {
  for (const bytes of [200, 255, 256, 301]) {
    for (const items of [1, 2, 4] as const) {
      assert.deepEqual(readTyped(codeOf(bytes, 3, items)), code(codeOf(bytes, 3, items)));
    }
  }
  for (const [before, after] of [
    ["]Q1", ""],
    ["]Q0", "\r"],
    ["\u0002", "\u0003"],
    ["\u001d]Q3", "\u001d"],
    ["  ", "\t"],
    ["\n", "\r\n"],
    ["*", "#"],
  ]) {
    assert.deepEqual(readTyped(before + ONE + after), code(ONE), JSON.stringify([before, after]));
  }
});

test("letters of Caps Lock and of Chinese input methods are read", () => {
  assert.deepEqual(readTyped(ONE.toLowerCase()), code(ONE));
  const wide = (text: string): string =>
    [...text].map((c) => (c === " " ? "\u3000" : String.fromCharCode(c.charCodeAt(0) + 0xfee0))).join("");
  assert.deepEqual(readTyped(wide(ONE)), code(ONE));
  const chinese = ONE.replaceAll("$", "￥").replaceAll(".", "。").replaceAll(":", "：").replaceAll("/", "、");
  assert.ok(/[￥。、]/.test(chinese));
  assert.deepEqual(readTyped(chinese), code(ONE));
});

/** What arrives for each character of a code that a scanner types, on the computer's layout; else the same. */
const ARRIVES: Record<string, Record<string, string>> = {
  german: { Y: "Z", Z: "Y", ":": "Ö", "*": "(", "-": "ß", "/": "-", "+": "`" },
  swiss: { Y: "Z", Z: "Y", ":": "é", $: "ç", "*": "(", "-": "'", "/": "-", "+": "`" },
  french: {
    A: "Q", Q: "A", Z: "W", W: "Z", M: "?", ":": "M", "1": "&", "2": "é", "3": '"', "4": "'", "5": "(", "6": "-",
    "7": "è", "8": "_", "9": "ç", "0": "à", $: "4", "%": "5", "*": "8", "-": ")", ".": ":", "/": "!",
  },
  spanish: { ":": "Ñ", "*": "(", "-": "'", "/": "-", "+": "¿" },
  italian: { ":": "ç", "*": "(", "-": "'", "/": "-", "+": "^" },
  portuguese: { ":": "Ç", "*": "(", "-": "'", "/": "-", "+": "»" },
  swedish: { ":": "Ö", $: "¤", "*": "(", "-": "+", "/": "-", "+": "`" },
  danish: { ":": "Æ", $: "¤", "*": "(", "-": "+", "/": "-", "+": "`" },
  russian: {
    ...Object.fromEntries([..."QWERTYUIOPASDFGHJKLZXCVBNM"].map((key, i) => [key, "ЙЦУКЕНГШЩЗФЫВАПРОЛДЯЧСМИТЬ"[i]!])),
    ":": "Ж", $: ";", ".": "ю", "/": ".",
  },
};

/** On a layout with dead keys, the accent of "+" goes onto a letter that can bear it, and swallows a space. */
function arrives(layout: string, text: string): string {
  const typed = [...text].map((key) => ARRIVES[layout]![key] ?? key).join("");
  return typed.replace(/`[AEINOUWY]/g, (pair) => (pair[1]! + "\u0300").normalize("NFC")).replaceAll("` ", "`");
}

test("a code typed with another keyboard layout is read, or the layout is named", () => {
  for (const layout of Object.keys(ARRIVES)) {
    let restored = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const text = codeOf(230, seed);
      const typed = arrives(layout, text);
      const read = readTyped(typed);
      if (read.kind === "code") restored++;
      assert.deepEqual(read, typed.includes("`") && read.kind === "layout" ? { kind: "layout" } : code(text), layout);
      assert.ok(startsCode(typed.slice(0, 4)), layout);
    }
    assert.ok(restored >= 30, `${layout}: ${restored} of 60`);
  }
  // With Caps Lock on a French keyboard digits arrive too.
  assert.deepEqual(readTyped(arrives("french", ONE).slice(0, -1)), { kind: "layout" });
  assert.deepEqual(readTyped(`žm1š${"ěšč".repeat(90)}`), { kind: "layout" });
});

test("two codes run together are never taken for one", () => {
  for (const between of ["", "\r\n", "]Q1", "\u0003\u0002", " ]Q1"]) {
    assert.deepEqual(readTyped(ONE + between + TWO), { kind: "several" }, JSON.stringify(between));
    assert.deepEqual(readTyped(ONE + between + ONE), code(ONE), "a double read of one code");
  }
  assert.deepEqual(readTyped(arrives("french", ONE + TWO)), { kind: "several" });
  // The second is not read in full: the first one's verdict would be taken for the second's.
  assert.equal(readTyped(ONE + TWO.slice(0, 100)).kind, "other");
  // The first was not read in full, and never had a verdict.
  assert.deepEqual(readTyped(ONE.slice(0, 100) + TWO), code(TWO));
  assert.deepEqual(readTyped(ONE.slice(0, -3) + TWO), code(TWO));
});

test("a code that contains the prefix by chance is one code", () => {
  const at = 4 + 3 * 20;
  const inner = `${ONE.slice(0, at)}YM1:00${ONE.slice(at + 6)}`;
  assert.deepEqual(readTyped(inner), code(inner));
});

test("what is no code is not taken for one", () => {
  for (const cut of [4, 5, 9, 10, 100, ONE.length - 1]) {
    assert.deepEqual(readTyped(ONE.slice(0, cut)), { kind: "other", text: ONE.slice(0, cut).trim() });
  }
  assert.deepEqual(readTyped("no health code"), { kind: "other", text: "NO HEALTH CODE" });
  assert.equal(readTyped(`https://example.org/${"a".repeat(200)}`).kind, "other");
  assert.deepEqual(readTyped(" 11010519491231002x "), { kind: "document", number: "11010519491231002X" });
  assert.deepEqual(readTyped("E12345678"), { kind: "document", number: "E12345678" });
  assert.equal(startsCode("11010519491231002X"), false);
  assert.equal(startsCode(`610102${ONE.slice(0, 4)}`), true);
});

test("codes of other systems are read, and their end is where they cannot go on", () => {
  const eu = `HC1:NCF${"OXN%TS3DH -".repeat(40)}A`;
  const digits = "567629095243206034602924374044603122295953265460346029254077280433602870";
  const [card, part] = [`SHC:/${digits}`, `SHC:/1/2/${digits}`];
  for (const text of [eu, card, part]) {
    for (const [before, after] of [["]Q1", ""], ["\u0002", "\u0003"], ["  ", "\r\n"]]) {
      assert.deepEqual(readTyped(before + text + after), code(text), text.slice(0, 20));
    }
    assert.deepEqual(readTyped(text.toLowerCase()), code(text));
    assert.ok(startsCode(text.slice(0, 5)));
    assert.ok(!saysItsLength(text) && isHealthCode(text));
    assert.deepEqual(readTyped(arrives("german", text)), code(text));
    assert.deepEqual(readTyped(text + ONE), { kind: "several" });
    assert.deepEqual(readTyped(ONE + text), { kind: "several" });
    assert.deepEqual(readTyped(`${text}]Q1${text}`), code(text));
  }
  assert.deepEqual(readTyped(eu + card), { kind: "several" });
  // By chance within another code.
  const inner = `${ONE.slice(0, 64)}HC1:00${ONE.slice(70)}`;
  assert.deepEqual(readTyped(inner), code(inner));
  assert.ok(saysItsLength(ONE) && isHealthCode(ONE) && isHealthCode(`shc:/${digits}`));
  assert.ok(!isHealthCode("https://example.org/HC1:"));
  assert.equal(readTyped("SHC:/").kind, "other");
});
