/**
 * What the page keeps of the people whose code this phone shows without a network: one entry each, in IndexedDB. Keys
 * cannot be read out, and all else is sealed ([decision](../../../../docs/decisions/0061-keys-in-the-page.md)).
 */
import type { Identity } from "../shared/types.ts";
import { exclusively } from "./locks.ts";
import { seal, unseal, type Sealed } from "./sealed.ts";

/** One person on this phone. Times in ms since 1970, by the server's clock. */
export interface Kept extends Facts {
  /** Random; names the person to this browser only. */
  id: string;
  batch: Batch | null;
}

/** All of an entry but the keys. */
interface Facts {
  /** The phone's id at the service. */
  phone: string;
  /** null after it was over: then only the phone's id is left, so that the same person does not get another phone. */
  session: string | null;
  sessionEndsAt: number;
  /** The ward whose code it is, which the session's holder shows; null: the holder's own. */
  ward: string | null;
  /** Shows that the phone exists, to a node that has not heard of it: until the first batch. */
  freshness: string | null;
  /** Masked. */
  identity: Identity | null;
  /** When the person was last on the screen, by this phone's clock. */
  usedAt: number;
  /** What to add to this phone's clock. */
  clockOffset: number;
}

/** The tokens of one request, in the order of their times. */
export interface Batch extends BatchFacts {
  tokens: KeptToken[];
}

interface BatchFacts {
  fetchedAt: number;
  refreshAt: number;
  /** The version of the display that was shown when the batch was requested. */
  version: number;
}

export interface KeptToken {
  /** COSE_Sign1 in base64url. */
  text: string;
  key: CryptoKey;
  secret: CryptoKey;
}

interface Entry {
  id: string;
  sealed: Sealed;
  /** Of each token. */
  keys: Pick<KeptToken, "key" | "secret">[];
}

interface Content {
  facts: Facts;
  batch: (BatchFacts & { tokens: string[] }) | null;
}

const DATABASE = "yima.citizen";
const STORE = "people";
const LOCK = "yima.citizen.kept";

/** Everybody, the one on the screen last first. Rejects if the browser keeps nothing. */
export async function listKept(): Promise<Kept[]> {
  const entries = (await transact("readonly", (store) => store.getAll() as IDBRequest<Entry[]>)) ?? [];
  // An entry without its key is of no use.
  const opened = await Promise.all(entries.map((entry) => open(entry).catch(() => null)));
  return opened.filter((kept) => kept !== null).sort((a, b) => b.usedAt - a.usedAt);
}

export async function findKept(id: string): Promise<Kept | null> {
  return (await listKept()).find((kept) => kept.id === id) ?? null;
}

/** Adds an entry. */
export function keep(kept: Kept): Promise<void> {
  return exclusively(LOCK, () => put(kept));
}

/** Replaces an entry by what `change` makes of it, if it is still there. */
export function changeKept(id: string, change: (kept: Kept) => Kept): Promise<void> {
  return exclusively(LOCK, async () => {
    const kept = await findKept(id);
    if (kept !== null) await put(change(kept));
  });
}

/** Removes an entry; with the last person the database goes. */
export function forget(id: string): Promise<void> {
  return exclusively(LOCK, async () => {
    await transact("readwrite", (store) => store.delete(id));
    if ((await listKept()).some(({ session }) => session !== null)) return;
    await settled(indexedDB.deleteDatabase(DATABASE));
  });
}

async function put({ id, batch, ...facts }: Kept): Promise<void> {
  const tokens = batch?.tokens ?? [];
  const content: Content = { facts, batch: batch && { ...batch, tokens: tokens.map(({ text }) => text) } };
  const keys = tokens.map(({ key, secret }) => ({ key, secret }));
  const entry: Entry = { id, sealed: await seal(content), keys };
  await transact("readwrite", (store) => store.put(entry), true);
}

async function open({ id, sealed, keys }: Entry): Promise<Kept> {
  const { facts, batch } = await unseal<Content>(sealed);
  const tokens = batch?.tokens.map((text, n) => ({ text, ...keys[n]! })) ?? [];
  // Earlier pages knew no wards.
  return { id, ...facts, ward: facts.ward ?? null, batch: batch && { ...batch, tokens } };
}

/** One transaction; null if there is no database and none is to be made. */
async function transact<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
  create = false,
): Promise<T | null> {
  const database = await openDatabase(create);
  if (database === null) return null;
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      // A full disk shows here.
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Nothing is made by looking: who is not kept leaves no trace. */
async function openDatabase(create: boolean): Promise<IDBDatabase | null> {
  if (!create && !(await indexedDB.databases()).some(({ name }) => name === DATABASE)) return null;
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
