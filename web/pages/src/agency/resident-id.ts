/** Resident identity numbers (GB 11643): 17 digits and a check character. */
import { REASON } from "./reasons.ts";

const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/** A document number without spaces and invisible characters, half width, upper case: as the service reads it. */
export function plainNumber(text: string): string {
  return text.normalize("NFKC").replace(/[\s\p{Cf}]/gu, "").toUpperCase();
}

/** Why a number cannot be one, as the service words it; null if it can. `number` is plain. */
export function residentIdError(number: string): string | null {
  if (!/^\d{17}[\dX]$/.test(number)) return REASON.residentShape;
  if (birthDate(number) === null) return REASON.residentBirth;
  const sum = WEIGHTS.reduce((sum, weight, at) => sum + weight * Number(number[at]), 0);
  return "10X98765432"[sum % 11] === number[17] ? null : REASON.residentCheck;
}

/** What a spreadsheet makes of a long number: 6.10102E+17. */
export function shortenedError(number: string): string | null {
  return /^\d(\.\d+)?E\+?\d+$/i.test(number) ? REASON.shortened : null;
}

/** The date of birth that a number contains, as YYYY-MM-DD. */
export function birthDate(number: string): string | null {
  const text = `${number.slice(6, 10)}-${number.slice(10, 12)}-${number.slice(12, 14)}`;
  const date = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(date.getTime()) || !date.toISOString().startsWith(text) || text < "1850" ? null : text;
}

/** The sex that a number contains: its 17th digit is odd for men. */
export function isMale(number: string): boolean {
  return Number(number[16]) % 2 === 1;
}
