/** The checkpoint without a network: whether it is, and its verdicts. */
import { BundleKeeper } from "../offline/keeper.ts";
import { judgeOffline, type OfflineVerdict } from "../offline/judge.ts";
import { OfflineStore } from "../offline/store.ts";
import type { Bundle } from "../offline/bundle.ts";
import { now } from "../shared/time.ts";
import type { Checkpoint, Scan } from "../shared/types.ts";
import { isForeignCode } from "./typed-code.ts";

/** The part of the page for codes of other systems, a bundle of its own. */
type ForeignModule = typeof import("../foreign/foreign.ts");

/** What the code says, as far as the checkpoint's role allows. */
export type OfflineFacts = Pick<OfflineVerdict, "says" | "paper"> & { showsTestAge: boolean };

export type OfflineOutcome =
  /** A verdict, and what the code says. */
  | { kind: "scan"; scan: Scan; offline: OfflineFacts }
  /** A bundle past its limit, or a clock before its release; a code of another system, without lists to judge it by. */
  | { kind: "unchecked"; why: "bundle_over" | "clock" | "foreign" };

export class OfflineJudge {
  readonly #store = new OfflineStore();
  readonly #keeper: BundleKeeper;
  readonly #changed: () => void;
  #post: Checkpoint | null = null;
  #isStarted = false;
  #isOffline = false;
  #foreign: Promise<ForeignModule | null> | null = null;
  readonly #loaded: Promise<void>;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#keeper = new BundleKeeper(this.#store, {
      changed: () => {
        // While there is a network: the service worker does not serve a page that it has not opened.
        if (this.bundle?.foreign) void this.#loadForeign();
        changed();
      },
      reachable: () => this.reachable(),
      unreachable: () => this.unreachable(),
    });
    this.#loaded = isSecureContext ? this.#keeper.load() : Promise.resolve();
  }

  /**
   * Whether there is a bundle, and the service was last found not to answer. Codes are then judged without asking it:
   * nobody waits for a time-out. Meanwhile it is asked for a bundle, and the first answer ends this.
   */
  get isOffline(): boolean {
    return this.#isOffline;
  }

  get bundle(): BundleKeeper["bundle"] {
    return this.#keeper.bundle;
  }

  get refusal(): BundleKeeper["refusal"] {
    return this.#keeper.refusal;
  }

  /** Begins to keep a bundle, for this checkpoint; null if its session does not say. */
  start(post: Checkpoint | null): void {
    this.#isStarted = true;
    this.#post = post;
    // Over plain http browsers check no signatures.
    if (isSecureContext) void this.#loaded.then(() => this.#isStarted && this.#keeper.start());
    if (post) void this.#store.put("post", post);
  }

  /** After a sign-out: forgets the checkpoint. The bundle stays for the next one. */
  stop(): void {
    this.#isStarted = false;
    this.#keeper.stop();
    this.#post = null;
    void this.#store.remove("post");
  }

  /** The checkpoint that signed in here last and has not signed out, if there is a bundle to judge by. */
  async lookupPost(): Promise<Checkpoint | null> {
    await this.#loaded;
    return this.bundle && this.#store.lookup("post");
  }

  reachable(): void {
    if (!this.#isOffline) return;
    this.#isOffline = false;
    this.#changed();
  }

  unreachable(): void {
    if (this.#isOffline || !this.bundle) return;
    this.#isOffline = true;
    this.#keeper.poke();
    this.#changed();
  }

  /** null without a bundle, or if the policy of this checkpoint is not known. */
  async judge(code: string): Promise<OfflineOutcome | null> {
    await this.#loaded;
    const { bundle } = this;
    if (!bundle || !this.#post) return null;
    const at = now() / 1_000;
    const state = bundle.state(at);
    if (state === "over") return { kind: "unchecked", why: "bundle_over" };
    if (state === "clock") return { kind: "unchecked", why: "clock" };
    if (isForeignCode(code)) return this.#judgeForeign(code, bundle, this.#post, at);
    const judged = await judgeOffline(code, bundle, this.#post.require_test_within_h, at);
    const { reason, says, paper, guardian } = judged;
    const { role } = this.#post;
    // A machine can compare no document.
    const verdict = judged.verdict === "pass" && guardian && role === "turnstile" ? "check" : judged.verdict;
    // As with the service: a turnstile is shown nobody, and only a hospital when somebody was tested.
    const shown = role === "turnstile" ? { says: null, paper: null } : { says, paper };
    const scan = { verdict, reason, instruction: "", guardian, identity: null, colour: null, as_of: null };
    return { kind: "scan", scan, offline: { ...shown, showsTestAge: role === "hospital" } };
  }

  async #judgeForeign(code: string, bundle: Bundle, post: Checkpoint, at: number): Promise<OfflineOutcome> {
    const foreign = bundle.foreign && (await this.#loadForeign());
    const lists = foreign?.openLists(bundle.foreign!);
    if (!foreign || !lists) return { kind: "unchecked", why: "foreign" };
    let scan = await foreign.judgeForeign(code, lists, post.require_test_within_h, Math.floor(at * 1_000));
    // What is accepted may have changed since.
    if (scan.verdict === "pass" && bundle.state(at) === "old") scan = { ...scan, verdict: "check", reason: "bundle_old" };
    if (post.role === "turnstile") {
      const { foreign: _, ...rest } = scan;
      // A machine lets nobody through whose document has to be compared.
      scan = { ...rest, identity: null, verdict: scan.verdict === "pass" ? "check" : scan.verdict };
    }
    return { kind: "scan", scan, offline: { says: null, paper: null, showsTestAge: false } };
  }

  #loadForeign(): Promise<ForeignModule | null> {
    this.#foreign ??= (import("/assets/foreign.js" as string) as Promise<ForeignModule>).catch(() => {
      this.#foreign = null;
      return null;
    });
    return this.#foreign;
  }
}
