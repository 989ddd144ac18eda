/**
 * Keyboard layouts of the computer that differ from a scanner's. A scanner types by the positions of a United States
 * keyboard, so on another layout other characters arrive. Only characters of codes are listed; others have the same
 * position.
 */

/** The meant character of each that arrives, in upper case. */
type Layout = Readonly<Record<string, string>>;

/** A dead key's accent on the letter after it. */
const GRAVE: Layout = {
  "`": "+", "À": "+A", "È": "+E", "Ì": "+I", "Ǹ": "+N", "Ò": "+O", "Ù": "+U", "Ẁ": "+W", "Ỳ": "+Y",
};

const GERMAN_SWISS: Layout = {
  ...GRAVE, "Ỳ": "+Z", Z: "Y", Y: "Z", "Ö": ":", "É": ":", "ß": "-", "'": "-", "-": "/", "(": "*", "Ç": "$",
};
const FRENCH: Layout = {
  A: "Q", Q: "A", Z: "W", W: "Z", "?": "M", M: ":", "&": "1", "É": "2", '"': "3", "'": "4", "(": "5", "-": "6",
  "È": "7", _: "8", "Ç": "9", "À": "0", "4": "$", "5": "%", "8": "*", ")": "-", ":": ".", "!": "/",
};
const SPANISH_ITALIAN_PORTUGUESE: Layout = {
  "Ñ": ":", "Ç": ":", "'": "-", "-": "/", "(": "*", "¿": "+", "^": "+", "»": "+",
};
const NORDIC: Layout = {
  ...GRAVE, "Ö": ":", "Æ": ":", "Ø": ":", "+": "-", "-": "/", "(": "*", "¤": "$",
};
const RUSSIAN: Layout = {
  ...Object.fromEntries([..."ЙЦУКЕНГШЩЗФЫВАПРОЛДЯЧСМИТЬ"].map((key, i) => [key, "QWERTYUIOPASDFGHJKLZXCVBNM"[i]!])),
  "Ж": ":", ";": "$", "Ю": ".", ".": "/",
};

export const KEYBOARD_LAYOUTS: readonly Layout[] = [
  GERMAN_SWISS, FRENCH, SPANISH_ITALIAN_PORTUGUESE, NORDIC, RUSSIAN,
];

/** What Chinese input methods make of characters of codes, beside full-width forms. */
const CHINESE: Layout = { "¥": "$", "。": ".", "、": "/" };

/** The text as typed on the scanner's own layout, in upper case: without control characters and full-width forms. */
export function plain(typed: string): string {
  return meantOn(CHINESE, typed);
}

/** The text that a scanner meant on a computer with this layout. */
export function meantOn(layout: Layout, typed: string): string {
  // Framing such as STX and ETX; line ends.
  const printable = typed.replace(/[\u0000-\u001f\u007f]/g, "");
  // With Caps Lock the letters arrive in lower case. A German ß has no upper case of one character.
  const meant = (key: string): string => layout[key] ?? layout[key.toUpperCase()] ?? key.toUpperCase();
  return [...printable.normalize("NFKC")].map(meant).join("");
}
