/** Reasons for a refusal in the page's language. */
import type { RefusedError } from "../shared/api.ts";
import { lang, translator } from "../shared/i18n.ts";
import type { Problem } from "../shared/types.ts";
import { FIELD_NAMES, FIELDS, fieldLabel, valueText, VALUES, type FieldName } from "./fields.ts";
import type { FieldError } from "./record.ts";
import { PROBLEM_TYPES, REASONS } from "./reasons.ts";
import { agencyWords } from "./words.ts";

const t = translator(agencyWords);

/** `{}` stands for what differs from row to row. */
const PATTERNS = Object.entries(REASONS)
  // The more is said, the more exact: "expected one of {}" fits much.
  .sort(([one], [other]) => other.length - one.length)
  .map(([english, chinese]) => {
    const parts = english.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return { pattern: new RegExp(`^${parts.join("(.+?)")}$`), texts: { zh: chinese, en: english } };
  });
const MORE = "; more errors are not listed";
/** Kinds of rights, as the registry of agencies names them. */
const RIGHTS: Record<string, FieldName> = {
  kinds: "kind",
  "document types": "document_type",
  colours: "colour",
  reasons: "reason",
};

/** A refusal of a whole request, with the service's reason if it gave any. */
export function refusalText({ problem, status }: RefusedError): string {
  return problem === null ? t("refused_status", status) : problemText(problem);
}

/** Each invalid field with the value that was expected there; without fields, the problem's detail. */
export function problemText(problem: Problem): string {
  if (problem.errors?.length) return fieldErrorsText(problem.errors);
  const detail = problem.detail ?? problem.title;
  const slug = problem.type.split("/").at(-1) ?? "";
  const type = lang() === "zh" && Object.hasOwn(PROBLEM_TYPES, slug) ? PROBLEM_TYPES[slug]! : null;
  const known = translation(detail);
  return known ?? (type === null ? reasonText(detail) : type + t("list_semicolon") + reasonText(detail));
}

export function fieldErrorsText(errors: FieldError[]): string {
  return errors.map(({ pointer, detail }) => fieldErrorText(pointer, detail)).join(t("list_semicolon"));
}

/** A field with the value that was expected there. */
export function fieldErrorText(pointer: string, detail: string): string {
  const field = fieldNamed(pointer);
  const name = field === null ? pointer : fieldLabel(field);
  return name === "" ? reasonText(detail) : `${name}${t("list_colon")}${reasonText(detail)}`;
}

/** The field of an event at a JSON pointer, also as CSV points to it; null for any other, as of a FHIR resource. */
export function fieldNamed(pointer: string): FieldName | null {
  const name = /^(?:\/data|\/subject)?\/([a-z_]+)$/.exec(pointer)?.[1];
  return FIELD_NAMES.find((field) => field === name) ?? null;
}

/** One reason. One that the page does not know is quoted as the service's words. */
export function reasonText(detail: string): string {
  return translation(detail) ?? t("reason_unknown", detail);
}

function translation(detail: string): string | null {
  if (detail.endsWith(MORE)) return `${reasonText(detail.slice(0, -MORE.length))}${t("reason_more")}`;
  for (const { pattern, texts } of PATTERNS) {
    const parts = pattern.exec(detail)?.slice(1).map((part) => translation(part) ?? wordsText(part));
    if (parts) return texts[lang()].replaceAll("{}", () => parts.shift() ?? "");
  }
  return null;
}

/** A list of the service's words (`negative, positive`), each in the page's where it has one. */
function wordsText(list: string): string {
  const right = lang() === "zh" && Object.hasOwn(RIGHTS, list) ? FIELDS[RIGHTS[list]!].label[0] : null;
  return right ?? list.split(/, | or /).map(wordText).join(t("list_comma"));
}

function wordText(word: string): string {
  for (const [name, values] of Object.entries(VALUES)) {
    if ((values as readonly string[]).includes(word)) return valueText(name as FieldName, word);
  }
  // In English the names of fields are what a program writes.
  return lang() === "zh" && FIELD_NAMES.some((name) => name === word) ? fieldLabel(word as FieldName) : word;
}
