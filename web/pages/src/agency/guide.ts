/** The guide on the page: open at the first sign-in of the tab, then at the clerk's wish. */
import { byId } from "../shared/dom.ts";

/** Kept in the tab: that the guide was closed. A sign-out removes it, since the next clerk may be new. */
const KEY = "yima.guide.agency";

export class Guide {
  readonly #section = byId("guide");
  readonly #button = byId("guide-open");

  constructor() {
    this.#button.addEventListener("click", () => {
      this.#section.hidden = false;
      this.#section.focus();
    });
    byId("guide-close").addEventListener("click", () => {
      this.#section.hidden = true;
      sessionStorage.setItem(KEY, "closed");
      this.#button.focus();
    });
  }

  /** After signing in; who goes on with the work on the page knows it. */
  start(isNew: boolean): void {
    this.#button.hidden = false;
    this.#section.hidden = !isNew || sessionStorage.getItem(KEY) !== null;
  }

  /** After signing out. */
  hide(): void {
    this.#button.hidden = this.#section.hidden = true;
  }
}
