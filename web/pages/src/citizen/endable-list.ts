/** A list in a section, read when the section is opened, of which each entry can be ended by two clicks. */
import { byId, make, setText } from "../shared/dom.ts";
import type { Session } from "./presenter.ts";
import { t, type CitizenWord } from "./text.ts";

interface Parts<T> {
  /** Ids of the section, the list and the line that says what happened. */
  section: string;
  list: string;
  note: string;
  /** What to say of an empty list, and of one that cannot be read. */
  none: CitizenWord;
  unread: CitizenWord;
  /** Whose list it is; null while it is nobody's. */
  current(): Session | null;
  read(session: Session): Promise<T[]>;
  end(session: Session, entry: T): Promise<void>;
  /** Differs from entry to entry of one answer. */
  key(entry: T): string;
  /** Who it is, without the button that ends it. */
  line(entry: T): Node;
}

export class EndableList<T> {
  readonly #parts: Parts<T>;
  #entries: T[] | null = null;
  #note: CitizenWord | null = null;
  /** The entry whose end was asked for once. */
  #asked: string | null = null;
  /** Raised by each request and sign-out: an answer to an earlier request is not drawn. */
  #latest = 0;

  constructor(parts: Parts<T>) {
    this.#parts = parts;
    byId(parts.section).addEventListener("toggle", () => void this.refresh());
  }

  clear(): void {
    this.#latest += 1;
    this.#entries = this.#note = this.#asked = null;
    byId<HTMLDetailsElement>(this.#parts.section).open = false;
    this.draw();
  }

  draw(): void {
    const { list, note, none } = this.#parts;
    byId(list).replaceChildren(...(this.#entries ?? []).map((entry) => this.#line(entry)));
    const empty = this.#entries?.length === 0 ? t(none) : this.#entries ? "" : t("waiting");
    setText(byId(note), this.#note ? t(this.#note) : empty);
  }

  say(note: CitizenWord | null): void {
    this.#note = note;
    this.draw();
  }

  /** Puts an entry in front of what was read. */
  add(entry: T): void {
    this.#entries = [entry, ...(this.#entries ?? [])];
    this.say(null);
  }

  async refresh(): Promise<void> {
    const session = this.#parts.current();
    if (!session || !byId<HTMLDetailsElement>(this.#parts.section).open) return;
    await this.#show(this.#parts.read(session), this.#parts.unread);
  }

  async #show(answer: Promise<T[]>, failed: CitizenWord): Promise<void> {
    const number = ++this.#latest;
    const read = await answer.catch(() => null);
    if (number !== this.#latest) return;
    this.#entries = read ?? this.#entries;
    this.#note = read === null ? failed : null;
    this.#asked = null;
    this.draw();
  }

  #line(entry: T): Node {
    return make("li", "", this.#parts.line(entry), this.#endButton(entry));
  }

  /** The first click asks, the second one ends it. */
  #endButton(entry: T): Node {
    const key = this.#parts.key(entry);
    const button = make("button", "plain", t(this.#asked === key ? "phone_end_sure" : "phone_end"));
    button.type = "button";
    button.dataset["end"] = key;
    button.addEventListener("click", () => {
      const session = this.#parts.current();
      if (!session) return;
      if (this.#asked !== key) {
        this.#asked = key;
        this.draw();
        return byId(this.#parts.list).querySelector<HTMLElement>(`[data-end="${key}"]`)?.focus();
      }
      button.disabled = true;
      const others = this.#entries!.filter((other) => other !== entry);
      void this.#show(this.#parts.end(session, entry).then(() => others), "phone_end_failed");
    });
    return button;
  }
}
