/** Takes what hand scanners type and people paste, wherever on the page the focus is. */
import { readTyped, saysItsLength, startsCode, type Typed } from "./typed-code.ts";

export interface InputListener {
  /** Something is being typed: called with each character. */
  typing(): void;
  /** Nothing is being typed any more, and nothing is to be checked. */
  emptied(): void;
  typed(typed: Typed): void;
}

/** A scanner pauses this long only at the end of a code. */
const PAUSE_MS = 100;
/** Nothing more comes after this time, from a slow scanner or a hand. */
const SILENCE_MS = 2_000;
/** How late a slow scanner's Tab may come after a pause has ended its code. */
const LATE_MS = 500;
/** A shorter text that is no code is a key hit by chance. */
const MIN_UNFINISHED = 16;

/**
 * Takes codes typed into `input`, ended by Enter, by Tab or by a pause, and keeps the focus there for the next code,
 * except while the page's forms are in use. A code that is typed elsewhere, as into `documentNumber`, moves to `input`.
 */
export function listenForCodes(
  input: HTMLInputElement,
  documentNumber: HTMLInputElement,
  listener: InputListener,
): void {
  let timer: number | undefined;
  /** When a pause ended the last code. */
  let pausedAt = -Infinity;
  /** An input method takes a scanner's Enter for the end of its composition. It still marks the end of the code. */
  let entered = false;

  const end = (text: string): void => {
    clearTimeout(timer);
    // Emptied at once: the next code may arrive before this one's answer.
    input.value = "";
    listener.typed(readTyped(text));
  };
  const paused = (): void => {
    const read = readTyped(input.value);
    if (read.kind === "several" || (read.kind === "code" && saysItsLength(read.code))) {
      pausedAt = performance.now();
      end(input.value);
    } else {
      timer = setTimeout(silent, SILENCE_MS - PAUSE_MS);
    }
  };
  const silent = (): void => {
    const text = input.value;
    if (readTyped(text).kind !== "other" || startsCode(text) || text.length >= MIN_UNFINISHED) return end(text);
    input.value = "";
    listener.emptied();
  };
  const changed = (composing: boolean): void => {
    clearTimeout(timer);
    if (input.value === "") return listener.emptied();
    listener.typing();
    if (!composing) timer = setTimeout(paused, PAUSE_MS);
  };
  const takeOver = (text: string): void => {
    input.value = text;
    input.focus({ preventScroll: true });
    changed(false);
  };

  input.addEventListener("input", (event) => changed((event as InputEvent).isComposing));
  input.addEventListener("compositionend", () => {
    if (entered && startsCode(input.value)) end(input.value);
    else changed(false);
    entered = false;
  });
  input.addEventListener("keydown", (event) => {
    entered = event.key === "Enter" && event.isComposing;
    if (event.isComposing) return;
    const empty = input.value === "";
    if (isFraming(event) && !(event.key === "c" && input.selectionStart !== input.selectionEnd)) {
      event.preventDefault();
      if (!empty && "cjm".includes(event.key)) end(input.value);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!empty) end(input.value);
    } else if (event.key === "Tab" && !event.shiftKey) {
      // It submits what a scanner can have typed; otherwise it moves the focus as usual.
      const late = empty && performance.now() - pausedAt < LATE_MS;
      const submits = startsCode(input.value) || readTyped(input.value).kind !== "other";
      if (late || submits) event.preventDefault();
      if (submits) end(input.value);
      // A scanner types one suffix; the next Tab is the guard's.
      pausedAt = -Infinity;
    }
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!startsCode(text)) return;
    event.preventDefault();
    listener.typing();
    end(text);
  });
  documentNumber.addEventListener("input", () => {
    if (!startsCode(documentNumber.value)) return;
    const text = documentNumber.value;
    documentNumber.value = "";
    takeOver(text);
  });
  keepFocus(input, takeOver);
}

/** Control characters that a scanner types with the Control key: STX, ETX, LF, CR, GS. */
function isFraming(event: KeyboardEvent): boolean {
  return event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey && "bcjm]".includes(event.key);
}

/** Whether the element belongs to a form or a text that is read, from which the focus is not taken. */
const inUse = (target: EventTarget | null): boolean => target instanceof Element && target.closest("details") !== null;

/** A scanner types into the element with the focus. Calls `takeOver` with the start of a code typed into a list. */
function keepFocus(input: HTMLInputElement, takeOver: (text: string) => void): void {
  const focus = (): void => {
    // Buttons may keep the focus, so that they can be reached by keyboard; no other element needs it.
    const active = document.activeElement;
    if (!(active instanceof HTMLButtonElement) && !inUse(active)) input.focus({ preventScroll: true });
  };
  input.addEventListener("blur", () => setTimeout(focus));
  window.addEventListener("focus", focus);
  document.addEventListener("click", (event) => {
    if (!inUse(event.target) && !inUse(document.activeElement)) input.focus({ preventScroll: true });
  });
  let typed = "";
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof HTMLInputElement) return;
    if (target instanceof HTMLSelectElement) {
      typed = (typed + key).slice(-4);
      if (!startsCode(typed)) return;
      event.preventDefault();
      takeOver(typed);
    } else if (key !== " ") {
      // This letter lands in the input.
      input.focus({ preventScroll: true });
    }
    typed = "";
  });
}
