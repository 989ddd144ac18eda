/** Who shows whose code. */
import { isProblem, type RequestOptions } from "../shared/api.ts";

/** A citizen's session, and the ward whose code it shows; null: the citizen's own. */
export interface Presenter {
  session: string;
  ward: string | null;
}

/** The same with the end of the session in ms since 1970, by the server's clock. */
export interface Session extends Presenter {
  endsAt: number;
  /** Shows that the guardianship exists, to a node that has not heard of it. */
  freshness?: string | undefined;
}

/** The part of a request that says so. */
export function by({ session, ward }: Presenter): Pick<RequestOptions, "bearer" | "ward"> {
  return { bearer: session, ward };
}

/** The citizen is not the guardian of this person, or not any more. */
export function isNotAGuardian(error: unknown): boolean {
  return isProblem(error, "not-a-guardian");
}
