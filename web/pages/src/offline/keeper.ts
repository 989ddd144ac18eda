/** Keeps the offline bundle current while there is a network. */
import { MalformedError, type Bytes } from "../code/cbor.ts";
import { issuerKeys, type KeySet } from "../code/issuers.ts";
import type { IssuerKeys } from "../code/code.ts";
import { RefusedError, requestBytes, requestJson, UnreachableError } from "../shared/api.ts";
import { Poller } from "../shared/poller.ts";
import { assumeServerClockOffset, serverClockOffset } from "../shared/time.ts";
import { Bundle } from "./bundle.ts";
import { openIndex, readIndex, type Blob, type IndexRefusal } from "./index.ts";
import type { OfflineStore } from "./store.ts";

const PATH = "/v1/offline-bundle";
/** Readers are late by up to this share of a release's time, so that not all ask in the same second. */
const JITTER = 0.2;
/** When the service has no bundles, or one that is refused. */
const LATER_MS = 300_000;

export interface KeeperListener {
  /** There is another bundle. */
  changed(): void;
  reachable(): void;
  unreachable(): void;
}

export class BundleKeeper {
  readonly #store: OfflineStore;
  readonly #listener: KeeperListener;
  #poller: Poller | null = null;
  #held: { bundle: Bundle; etag: string | null } | null = null;
  /** Why the last bundle offered was refused; null if it was not, or older than the one held, as an edge's may be. */
  refusal: Exclude<IndexRefusal, "older"> | null = null;

  constructor(store: OfflineStore, listener: KeeperListener) {
    this.#store = store;
    this.#listener = listener;
  }

  get bundle(): Bundle | null {
    return this.#held?.bundle ?? null;
  }

  /** Reads the bundle that the browser has kept. */
  async load(): Promise<void> {
    const offset = await this.#store.lookup("clockOffset");
    const kept = await this.#store.lookup("bundle");
    if (offset !== null && serverClockOffset() === 0) assumeServerClockOffset(offset);
    if (!kept || this.#held) return;
    try {
      const bundle = await Bundle.of(await readIndex(kept.index), await this.#store.lookupParts(), missing);
      this.#hold(bundle, kept.etag);
    } catch (error) {
      // Something else has written there: without a bundle the next one is fetched whole.
      if (!(error instanceof MalformedError)) throw error;
    }
  }

  /** Fetches each release; to be called once. */
  start(): void {
    this.#poller ??= new Poller(() => this.#update(), {
      failed: (error) => {
        if (error instanceof UnreachableError || (error instanceof RefusedError && error.noBackend)) {
          this.#listener.unreachable();
        } else {
          // A node without a bundle may check codes all the same.
          this.#listener.reachable();
        }
      },
      sessionOver: () => undefined,
    });
  }

  stop(): void {
    this.#poller?.stop();
    this.#poller = null;
  }

  /** Asks at once: whether there is a network again. */
  poke(): void {
    this.#poller?.poke();
  }

  /** Resolves to the time until the next release. */
  async #update(): Promise<number> {
    const held = this.#held;
    let answer;
    try {
      answer = await requestBytes(PATH, { etag: held?.etag });
    } catch (error) {
      if (!(error instanceof RefusedError) || error.transient) throw error;
      // A service without bundles.
      this.#listener.reachable();
      return LATER_MS;
    }
    this.#listener.reachable();
    void this.#store.put("clockOffset", serverClockOffset());
    if (answer.body !== null) await this.#take(answer.body, answer.headers.get("etag"));
    else this.#noRefusal();
    return this.refusal === null ? untilNext(answer.headers) : LATER_MS;
  }

  async #take(bytes: Bytes, etag: string | null): Promise<void> {
    const held = this.bundle;
    const known = held?.index.issuers ?? new Map<string, CryptoKey>();
    let index = await openIndex(bytes, known, held?.index ?? null);
    if (index === "unknown_issuer") index = await openIndex(bytes, await publishedKeys(), held?.index ?? null);
    if (typeof index === "string") {
      this.refusal = index === "older" ? null : index;
      return this.#listener.changed();
    }
    try {
      const bundle = await Bundle.of(index, held?.parts ?? new Map(), loadPart);
      this.refusal = null;
      this.#hold(bundle, etag);
      await this.#store.putBundle({ index: bytes, releasedAt: index.releasedAt, etag }, bundle.parts);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.refusal = "malformed";
      this.#listener.changed();
    }
  }

  /** The bundle held is the newest. */
  #noRefusal(): void {
    if (this.refusal === null) return;
    this.refusal = null;
    this.#listener.changed();
  }

  #hold(bundle: Bundle, etag: string | null): void {
    this.#held = { bundle, etag };
    this.#listener.changed();
  }
}

async function publishedKeys(): Promise<IssuerKeys> {
  return issuerKeys(await requestJson<KeySet>("GET", "/v1/keys"));
}

async function loadPart({ sha256 }: Blob): Promise<Bytes> {
  // Its name is its content's, so any cache may have it.
  const { body } = await requestBytes(`${PATH}/${sha256}`, { cache: "default", timeoutMs: 60_000 });
  if (body === null) throw new UnreachableError("304 in place of a body");
  return body;
}

/** A part that the browser has not kept. */
async function missing(): Promise<Bytes> {
  throw new MalformedError();
}

/** The rest of the release's time by the answer, and some jitter. */
function untilNext(headers: Headers): number {
  const maxAge = /max-age=(\d+)/.exec(headers.get("cache-control") ?? "");
  const rest = maxAge ? (Number(maxAge[1]) - Number(headers.get("age") ?? 0)) * 1_000 : LATER_MS;
  return Math.max(1_000, rest) * (1 + Math.random() * JITTER);
}
