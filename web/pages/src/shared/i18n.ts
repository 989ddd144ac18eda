import { words } from "./words.ts";

export type Lang = "zh" | "en";
export type Word = keyof typeof words;

// The language says nothing about anyone; it is kept only so that a reload does not change it.
const KEY = "yima.lang";
let current: Lang = initial();

export function lang(): Lang {
  return current;
}

/** The word in the page's language, `{}` replaced by `value`. */
export function t(word: Word, value?: string | number): string {
  const text = words[word][current === "zh" ? 0 : 1];
  return value === undefined ? text : text.replace("{}", String(value));
}

/** The same for a page's own words, which no other page has to load. */
export function speaks<W extends Record<string, readonly [string, string]>>(own: W) {
  return (word: keyof W | Word, value?: string | number): string => {
    const pair = Object.hasOwn(own, word) ? own[word as keyof W]! : words[word as Word];
    const text = pair[current === "zh" ? 0 : 1];
    return value === undefined ? text : text.replace("{}", String(value));
  };
}

/** For words that come from the server: null if the page does not know `prefix_word`. */
export function lookup(prefix: string, word: string): string | null {
  const key = `${prefix}_${word}`;
  return Object.hasOwn(words, key) ? t(key as Word) : null;
}

/** Puts the page's fixed texts in and wires the language button; `changed` draws the rest again. */
export function startLanguage(button: HTMLButtonElement, changed: () => void, own: Own = {}): void {
  apply(button, own);
  button.addEventListener("click", () => {
    current = current === "zh" ? "en" : "zh";
    sessionStorage.setItem(KEY, current);
    apply(button, own);
    changed();
  });
}

type Own = Record<string, readonly [string, string]>;

function apply(button: HTMLButtonElement, own: Own): void {
  const say = speaks(own);
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  // The button names the other language, in that language.
  button.textContent = current === "zh" ? "English" : "中文";
  button.lang = current === "zh" ? "en" : "zh-Hans";
  for (const element of document.querySelectorAll<HTMLElement>("[data-t]")) {
    element.textContent = say(element.dataset["t"]!);
  }
  for (const element of document.querySelectorAll<HTMLElement>("[data-t-label]")) {
    element.setAttribute("aria-label", say(element.dataset["tLabel"]!));
  }
}

function initial(): Lang {
  const stored = sessionStorage.getItem(KEY);
  if (stored === "zh" || stored === "en") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
