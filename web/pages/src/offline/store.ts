/**
 * What the checkpoint's page keeps in the browser: the offline bundle, by how much the clock is wrong, and where it
 * scans. Nothing of anybody who was scanned.
 */
import type { Bytes } from "../code/cbor.ts";
import type { Checkpoint } from "../shared/types.ts";
import { Part, type Parts } from "./bundle.ts";

const NAME = "yima.offline";
const VERSION = 1;
/** The object store of the records below, by their names. */
const RECORDS = "records";
/** The object store of the bundle's parts, by their names. */
const PARTS = "parts";

export interface Records {
  bundle: { index: Bytes; releasedAt: number; etag: string | null };
  /** In ms. */
  clockOffset: number;
  /** The checkpoint that has signed in here, until it signs out. */
  post: Checkpoint;
}

/**
 * Keeps nothing where the browser refuses it (some private windows, a full disk): the page then judges as long as it is
 * open.
 */
export class OfflineStore {
  readonly #database: Promise<IDBDatabase | null> = open();

  async lookup<K extends keyof Records>(name: K): Promise<Records[K] | null> {
    const found = await this.#run("readonly", (records) => records.get(name));
    return (found as Records[K] | undefined) ?? null;
  }

  async put<K extends keyof Records>(name: K, record: Records[K]): Promise<void> {
    await this.#run("readwrite", (records) => records.put(record, name));
  }

  async remove(name: keyof Records): Promise<void> {
    await this.#run("readwrite", (records) => records.delete(name));
  }

  async lookupParts(): Promise<Parts> {
    const keys = (await this.#run("readonly", (_, parts) => parts.getAllKeys())) as string[] | null;
    const values = (await this.#run("readonly", (_, parts) => parts.getAll())) as Bytes[] | null;
    return new Map(values?.map((bytes, i) => [keys?.[i] ?? "", new Part(bytes)]));
  }

  /** Keeps a bundle with its parts in place of the one held, unless another tab has kept a later one. */
  async putBundle(bundle: Records["bundle"], used: Parts): Promise<void> {
    await this.#run("readwrite", (records, parts) => {
      const held = records.get("bundle" satisfies keyof Records);
      const names = parts.getAllKeys();
      // Requests of one transaction are answered in their order.
      names.onsuccess = () => {
        const before = held.result as Records["bundle"] | undefined;
        if (before && before.releasedAt > bundle.releasedAt) return;
        records.put(bundle, "bundle");
        const kept = new Set(names.result as string[]);
        for (const name of kept) if (!used.has(name)) parts.delete(name);
        for (const [name, { bytes }] of used) if (!kept.has(name)) parts.put(bytes, name);
      };
      return names;
    });
  }

  /** The result of one transaction; null if the browser refused it. */
  async #run(
    mode: IDBTransactionMode,
    act: (records: IDBObjectStore, parts: IDBObjectStore) => IDBRequest,
  ): Promise<unknown> {
    const database = await this.#database;
    if (!database) return null;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction([RECORDS, PARTS], mode);
        const request = act(transaction.objectStore(RECORDS), transaction.objectStore(PARTS));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => resolve(null);
      } catch {
        resolve(null);
      }
    });
  }
}

function open(): Promise<IDBDatabase | null> {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => [RECORDS, PARTS].forEach((name) => request.result.createObjectStore(name));
      request.onsuccess = () => resolve(request.result);
      request.onerror = request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}
