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

/** For words that come from the server: null if the page does not know `prefix_word`. */
export function lookup(prefix: string, word: string): string | null {
  const key = `${prefix}_${word}`;
  return Object.hasOwn(words, key) ? t(key as Word) : null;
}

/** Puts the page's fixed texts in and wires the language button; `changed` draws the rest again. */
export function startLanguage(button: HTMLButtonElement, changed: () => void): void {
  apply(button);
  button.addEventListener("click", () => {
    current = current === "zh" ? "en" : "zh";
    sessionStorage.setItem(KEY, current);
    apply(button);
    changed();
  });
}

function apply(button: HTMLButtonElement): void {
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  // The button names the other language, in that language.
  button.textContent = current === "zh" ? "English" : "中文";
  button.lang = current === "zh" ? "en" : "zh-Hans";
  for (const element of document.querySelectorAll<HTMLElement>("[data-t]")) {
    element.textContent = t(element.dataset["t"] as Word);
  }
  for (const element of document.querySelectorAll<HTMLElement>("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset["tLabel"] as Word));
  }
}

function initial(): Lang {
  const stored = sessionStorage.getItem(KEY);
  if (stored === "zh" || stored === "en") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
