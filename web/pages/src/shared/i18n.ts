/** The page's language, and its words in that language. */
import { words, type Translations } from "./words.ts";

export type Lang = "zh" | "en";
export type Word = keyof typeof words;

// Kept in the tab so that a reload does not change it; a language identifies no subject.
const KEY = "yima.lang";
let current: Lang = initial();

export function lang(): Lang {
  return current;
}

/** The word in the page's language, `{}` replaced by `value`. */
export function t(word: Word, value?: string | number): string {
  return fill(words[word], value);
}

/** `t` for a page that has words of its own, which the other pages do not load. */
export function translator<W extends Translations>(own: W) {
  return (word: keyof W | Word, value?: string | number): string =>
    fill(Object.hasOwn(own, word) ? own[word as keyof W]! : words[word as Word], value);
}

/** The translation of a word that the server sent; null if the page does not know `prefix_word`. */
export function lookup(prefix: string, word: string): string | null {
  const key = `${prefix}_${word}`;
  return Object.hasOwn(words, key) ? t(key as Word) : null;
}

/** Fills in the page's fixed texts and connects the language button; `changed` redraws all other texts. */
export function startLanguage(button: HTMLButtonElement, changed: () => void, own: Translations = {}): void {
  apply(button, own);
  button.addEventListener("click", () => {
    current = current === "zh" ? "en" : "zh";
    sessionStorage.setItem(KEY, current);
    apply(button, own);
    changed();
  });
}

function fill(pair: readonly [string, string], value?: string | number): string {
  const text = pair[current === "zh" ? 0 : 1];
  return value === undefined ? text : text.replace("{}", String(value));
}

function apply(button: HTMLButtonElement, own: Translations): void {
  const translate = translator(own);
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  // The button names the other language, in that language.
  button.textContent = current === "zh" ? "English" : "中文";
  button.lang = current === "zh" ? "en" : "zh-Hans";
  for (const element of document.querySelectorAll<HTMLElement>("[data-t]")) {
    element.textContent = translate(element.dataset["t"]!);
  }
  for (const element of document.querySelectorAll<HTMLElement>("[data-t-label]")) {
    element.setAttribute("aria-label", translate(element.dataset["tLabel"]!));
  }
}

function initial(): Lang {
  const stored = sessionStorage.getItem(KEY);
  if (stored === "zh" || stored === "en") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
