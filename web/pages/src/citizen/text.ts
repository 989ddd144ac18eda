/** The texts of this page, in its language. */
import { translator } from "../shared/i18n.ts";
import { citizenWords } from "./words.ts";

export const t = translator(citizenWords);
/** A word of this page. */
export type CitizenWord = Parameters<typeof t>[0];
