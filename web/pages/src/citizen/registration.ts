/** Makes this phone one that shows a person's code without a network, once per person. */
import { endSession } from "../shared/session.ts";
import { serverClockOffset } from "../shared/time.ts";
import type { Identity } from "../shared/types.ts";
import { forget, keep, listKept, type Kept } from "./kept.ts";
import { exclusively } from "./locks.ts";
import { endPhone, listPhones, startPhone } from "./phones.ts";
import type { Session } from "./presenter.ts";

/** The browser could not store an entry. */
export class NotKeptError extends Error {}

/**
 * Registers this phone and keeps an entry without tokens. Two tabs make one phone: the second one gets the entry of the
 * first. Rejects with a `NotKeptError`, or as a request does; nothing is left then.
 */
export function register(by: Session, name: string, identity: Identity): Promise<Kept> {
  return exclusively("yima.citizen.register", async () => {
    const known = await adopt(by);
    if (known) return known;
    const { session, endsAt, ward } = by;
    const entry = { phone: "", session, sessionEndsAt: endsAt, ward, freshness: null, identity, batch: null };
    const kept: Kept = { ...entry, id: crypto.randomUUID(), usedAt: Date.now(), clockOffset: serverClockOffset() };
    let phone: string | null = null;
    try {
      // A browser that keeps nothing is found out before the service is asked.
      await keep(kept).catch(notKept);
      const { id, freshness } = await startPhone(by, name);
      phone = id;
      const registered = { ...kept, phone, freshness };
      await keep(registered).catch(notKept);
      return registered;
    } catch (error) {
      await forget(kept.id).catch(() => undefined);
      if (phone !== null) await endPhone(by, phone).catch(() => undefined);
      throw error;
    }
  });
}

/**
 * The entry of the session's person or ward, if this phone has one; null without. Which entry it is, the service says:
 * it lists the phones. A person's own entry keeps its session, and the new one is ended; or takes it if its own was
 * over, as a ward's entry always does.
 */
export async function adopt({ session, endsAt, ward }: Session): Promise<Kept | null> {
  const entries = await listKept().catch(notKept);
  if (entries.length === 0) return null;
  const { phones } = await listPhones({ session, ward });
  const kept = entries.find((entry) => phones.some(({ id }) => id === entry.phone));
  if (!kept) return null;
  if (kept.session === session) return kept;
  if (kept.session !== null && ward === null) {
    // Otherwise it ends by itself.
    endSession(session).catch(() => undefined);
    return kept;
  }
  const renewed = { ...kept, session, sessionEndsAt: endsAt, ward };
  await keep(renewed).catch(notKept);
  return renewed;
}

function notKept(cause: unknown): never {
  throw new NotKeptError("nothing is kept", { cause });
}
