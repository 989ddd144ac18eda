/** Makes this phone one that shows a person's code without a network, once per person. */
import { endSession } from "../shared/session.ts";
import { serverClockOffset } from "../shared/time.ts";
import type { Identity } from "../shared/types.ts";
import { forget, keep, listKept, type Kept } from "./kept.ts";
import { exclusively } from "./locks.ts";
import { endPhone, listPhones, startPhone } from "./phones.ts";

/** A session of a person; its end in ms since 1970, by the server's clock. */
export interface Session {
  session: string;
  endsAt: number;
}

/** The browser could not store an entry. */
export class NotKeptError extends Error {}

/**
 * Registers this phone and keeps an entry without tokens. Two tabs make one phone: the second one gets the entry of the
 * first. Rejects with a `NotKeptError`, or as a request does; nothing is left then.
 */
export function register({ session, endsAt }: Session, name: string, identity: Identity): Promise<Kept> {
  return exclusively("yima.citizen.register", async () => {
    const known = await adopt({ session, endsAt });
    if (known) return known;
    const entry = { phone: "", session, sessionEndsAt: endsAt, freshness: null, identity, batch: null };
    const kept: Kept = { ...entry, id: crypto.randomUUID(), usedAt: Date.now(), clockOffset: serverClockOffset() };
    let phone: string | null = null;
    try {
      // A browser that keeps nothing is found out before the service is asked.
      await keep(kept).catch(notKept);
      const { id, freshness } = await startPhone(session, name);
      phone = id;
      const registered = { ...kept, phone, freshness };
      await keep(registered).catch(notKept);
      return registered;
    } catch (error) {
      await forget(kept.id).catch(() => undefined);
      if (phone !== null) await endPhone(session, phone).catch(() => undefined);
      throw error;
    }
  });
}

/**
 * The entry of the session's person, if this phone has one; null without. Which entry it is, the service says: it lists
 * the person's phones. The entry keeps its own session, and the new one is ended; or takes it if its own was over.
 */
export async function adopt({ session, endsAt }: Session): Promise<Kept | null> {
  const entries = await listKept().catch(notKept);
  if (entries.length === 0) return null;
  const { phones } = await listPhones(session);
  const kept = entries.find((entry) => phones.some(({ id }) => id === entry.phone));
  if (!kept) return null;
  if (kept.session !== null) {
    // Otherwise it ends by itself.
    if (kept.session !== session) endSession(session).catch(() => undefined);
    return kept;
  }
  const renewed = { ...kept, session, sessionEndsAt: endsAt };
  await keep(renewed).catch(notKept);
  return renewed;
}

function notKept(cause: unknown): never {
  throw new NotKeptError("nothing is kept", { cause });
}
