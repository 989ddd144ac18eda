/**
 * What a hand scanner or a paste left in the input, as the code it was. Chinese input methods type full-width letters and
 * some scanners lower-case ones; Base45 has neither, and no code ends in a space, so this changes no genuine code.
 */
export function clean(typed: string): string {
  return typed.normalize("NFKC").trim().toUpperCase();
}

const COMPLETE = /^YM1:[0-9A-Z $%*+\-./:]{16,}$/;

/** Whether something is being filled in that is no code. */
const inForm = (target: EventTarget | null): boolean => target instanceof Element && target.closest("details") !== null;

/** Keeps `input` ready for the next code, whatever is clicked but a form, and hands over each one. */
export function listen(input: HTMLInputElement, scanned: (code: string) => void): void {
  const submit = (typed: string): void => {
    const code = clean(typed);
    // Emptied first: the next code may be typed before this one's answer.
    input.value = "";
    if (code) scanned(code);
  };

  // A scanner's Enter may end an input method's composition and do nothing else: it was the end of the code all the same.
  let entered = false;
  input.addEventListener("compositionend", () => {
    if (entered && COMPLETE.test(clean(input.value))) submit(input.value);
    entered = false;
  });
  input.addEventListener("keydown", (event) => {
    entered = event.key === "Enter" && event.isComposing;
    // Some scanners end with Tab; only a complete code takes it, so that Tab still leaves the field otherwise.
    const ends = event.key === "Enter" || (event.key === "Tab" && COMPLETE.test(clean(input.value)));
    if (!ends || event.isComposing) return;
    event.preventDefault();
    submit(input.value);
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!COMPLETE.test(clean(text))) return;
    event.preventDefault();
    submit(text);
  });

  const focus = (): void => {
    // Buttons may hold the focus, else they could not be reached by keyboard; nothing else needs it.
    const active = document.activeElement;
    if (!(active instanceof HTMLButtonElement) && !inForm(active)) input.focus({ preventScroll: true });
  };
  input.addEventListener("blur", () => setTimeout(focus));
  window.addEventListener("focus", focus);
  document.addEventListener("click", (event) => {
    if (!inForm(event.target)) input.focus({ preventScroll: true });
  });
  // A scanner types into whatever has the focus: its first letter brings the input back and lands there.
  document.addEventListener("keydown", (event) => {
    const letter = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (letter && !inForm(event.target)) input.focus({ preventScroll: true });
  });
}
