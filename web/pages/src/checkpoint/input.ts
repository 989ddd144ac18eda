/** Takes codes from hand scanners and from the clipboard. */

/**
 * Restores the code from the text that a hand scanner typed. Chinese input methods produce full-width letters, and some
 * scanners lower-case ones. Base45 has neither, and no code ends in a space, so a genuine code stays unchanged.
 */
function normalizeCode(typed: string): string {
  return typed.normalize("NFKC").trim().toUpperCase();
}

const COMPLETE = /^YM1:[0-9A-Z $%*+\-./:]{16,}$/;

/** Whether the element belongs to the document form, which takes no codes. */
const inForm = (target: EventTarget | null): boolean => target instanceof Element && target.closest("details") !== null;

/** Calls `scanned` with each code. Keeps the focus on `input` for the next code, except while the form is in use. */
export function listenForCodes(input: HTMLInputElement, scanned: (code: string) => void): void {
  const submit = (typed: string): void => {
    const code = normalizeCode(typed);
    // Emptied at once: the next code may arrive before this one's answer.
    input.value = "";
    if (code) scanned(code);
  };

  // A scanner's Enter may only end an input method's composition. It still marks the end of the code.
  let entered = false;
  input.addEventListener("compositionend", () => {
    if (entered && COMPLETE.test(normalizeCode(input.value))) submit(input.value);
    entered = false;
  });
  input.addEventListener("keydown", (event) => {
    entered = event.key === "Enter" && event.isComposing;
    // Some scanners end with Tab. It submits only a complete code; otherwise it moves the focus as usual.
    const ends = event.key === "Enter" || (event.key === "Tab" && COMPLETE.test(normalizeCode(input.value)));
    if (!ends || event.isComposing) return;
    event.preventDefault();
    submit(input.value);
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!COMPLETE.test(normalizeCode(text))) return;
    event.preventDefault();
    submit(text);
  });

  const focus = (): void => {
    // Buttons may keep the focus, so that they can be reached by keyboard; no other element needs it.
    const active = document.activeElement;
    if (!(active instanceof HTMLButtonElement) && !inForm(active)) input.focus({ preventScroll: true });
  };
  input.addEventListener("blur", () => setTimeout(focus));
  window.addEventListener("focus", focus);
  document.addEventListener("click", (event) => {
    if (!inForm(event.target)) input.focus({ preventScroll: true });
  });
  // A scanner types into the element with the focus: its first letter moves the focus to the input and lands there.
  document.addEventListener("keydown", (event) => {
    const letter = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (letter && !inForm(event.target)) input.focus({ preventScroll: true });
  });
}
