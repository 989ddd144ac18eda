/** Times as spreadsheets keep them. */

/**
 * The number by which a spreadsheet keeps a date: days since the end of 1899, or since 1904. Returns wall-clock time as
 * `readTime` reads it.
 */
export function serialTime(serial: number, since1904: boolean): string {
  const time = new Date(Math.round((serial - (since1904 ? 24_107 : 25_569)) * 86_400) * 1_000);
  return Number.isNaN(time.getTime()) ? String(serial) : time.toISOString().slice(0, 19).replace("T", " ");
}
