/** The person on the screen: their display, and their codes by this phone's keys or without. */
import { keepGuidance } from "../shared/guidance.ts";
import { CodeUpdater, type NoCode } from "./code-updater.ts";
import { DisplayUpdater } from "./display-updater.ts";
import { drawHistory, renewHistory } from "./history.ts";
import type { Kept } from "./kept.ts";
import { PhoneCodes, type PhoneListener } from "./phone-codes.ts";
import type { Session } from "./presenter.ts";
import type { CitizenWord } from "./text.ts";
import { draw } from "./view.ts";

export class OnScreen {
  readonly presenter: Session;
  readonly display: DisplayUpdater;
  /** The entry with this phone's keys; null: bare codes. */
  kept: Kept | null = null;
  /** What happened to the offer to keep keys, or to the keys. */
  notice: CitizenWord | null = null;
  readonly #listener: PhoneListener;
  #codes: CodeUpdater | PhoneCodes;

  constructor(presenter: Session, kept: Kept | null, listener: PhoneListener) {
    this.presenter = presenter;
    this.#listener = listener;
    this.display = new DisplayUpdater(presenter, {
      changed: () => listener.changed(),
      sessionOver: () => listener.sessionOver(),
      guardianshipOver: () => listener.guardianshipOver(),
      newVersion: (colourChanged) => {
        this.#codes.newVersion(colourChanged);
        keepGuidance(() => {
          listener.changed();
          drawHistory();
        });
        if (presenter.ward === null) renewHistory({ bearer: presenter.session, etag: this.display.etag });
      },
    });
    this.#codes = this.#codesOf(kept);
  }

  get sessionEndsAt(): number {
    return this.presenter.endsAt;
  }

  /** Goes on with the keys of an entry, or without keys. */
  useKeys(kept: Kept | null): void {
    this.#codes.stop();
    this.#codes = this.#codesOf(kept);
  }

  /** The phone's codes; null without keys. */
  get phoneCodes(): PhoneCodes | null {
    return this.#codes instanceof PhoneCodes ? this.#codes : null;
  }

  /** Returns the code that is shown. */
  draw(): { text: string } | NoCode {
    const [code, own] = [this.#codes.current(), this.phoneCodes];
    const isShown = typeof code === "object" && "text" in code;
    draw(this.display, code, own && { status: own.status(), nextInS: isShown ? own.nextInS() : null });
    return code;
  }

  stop(): void {
    this.display.stop();
    this.#codes.stop();
  }

  #codesOf(kept: Kept | null): CodeUpdater | PhoneCodes {
    this.kept = kept;
    const display = this.display;
    if (kept) return new PhoneCodes(kept, this.presenter, () => display, this.#listener);
    return new CodeUpdater(this.presenter, () => (display.display ? display.etag : undefined), this.#listener);
  }
}
