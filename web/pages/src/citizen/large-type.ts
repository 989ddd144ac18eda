/** The button for larger type. */
const KEY = "yima.large";

/** The choice stays in the tab, like the language, so that a reload does not change it. */
export function setUpLargeType(button: HTMLButtonElement): void {
  const apply = (large: boolean): void => {
    document.documentElement.classList.toggle("large", large);
    button.setAttribute("aria-pressed", String(large));
  };
  button.addEventListener("click", () => {
    const large = !document.documentElement.classList.contains("large");
    if (large) sessionStorage.setItem(KEY, "yes");
    else sessionStorage.removeItem(KEY);
    apply(large);
  });
  apply(sessionStorage.getItem(KEY) !== null);
}
