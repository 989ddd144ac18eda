/** Files to fill in: the columns of one kind of event, in the page's language. */
import { byId } from "../shared/dom.ts";
import { lang } from "../shared/i18n.ts";
import { saveTable, type TableExtension } from "./download.ts";
import { FIELD_NAMES, FIELDS, fieldLabel, ownFields, requiredFields, valueText, VALUES } from "./fields.ts";
import type { FieldName, Kind } from "./fields.ts";
import type { Translate } from "./words.ts";

const WORDS: Partial<Record<FieldName, readonly string[]>> = VALUES;

export function connectTemplates(t: Translate): void {
  for (const extension of ["csv", "xlsx"] as const) {
    byId(`template-${extension}`).addEventListener("click", () => void saveTemplate(extension, t));
  }
}

async function saveTemplate(extension: TableExtension, t: Translate): Promise<void> {
  const kind = byId<HTMLSelectElement>("template-kind").value as Kind;
  // The kind follows from the other columns.
  const all: FieldName[] = [...requiredFields(kind), ...ownFields(kind), "revision"];
  const fields = FIELD_NAMES.filter((name) => name !== "kind" && all.includes(name));
  const headings = fields.map((name) => fieldLabel(name, kind));
  const notes = fields.map((name) => [fieldLabel(name, kind), fieldNote(name, kind, t)]);
  await saveTable(`${kind}-${lang()}`, extension, [
    { name: valueText("kind", kind), rows: [headings] },
    { name: t("template_notes"), rows: notes },
  ]);
}

function fieldNote(name: FieldName, kind: Kind, t: Translate): string {
  const { type } = FIELDS[name];
  const words = WORDS[name]?.map((value) => valueText(name, value)).join(t("list_comma"));
  const ofType = type === "time" ? t("time_hint") : type === "date" ? t("date_hint") : "";
  const ofName = name === "vaccine" ? t("vaccine_hint") : name === "revision" ? t("revision_hint") : ofType;
  const note = words ?? ofName;
  return requiredFields(kind).includes(name) ? note : t("optional", note);
}
