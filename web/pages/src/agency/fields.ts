/** The fields of an event: the one list for the form, the columns of files, and the reasons of refused rows. */
import { make } from "../shared/dom.ts";
import { lang } from "../shared/i18n.ts";
import { words } from "../shared/words.ts";
import { agencyWords } from "./words.ts";

export const KINDS = [
  "test_result", "vaccination", "identity", "colour_assignment", "retraction", "guardianship",
] as const;
export type Kind = (typeof KINDS)[number];

/** How the text of a field is read: `time` into RFC 3339, `date` into YYYY-MM-DD, `word` into one of a list. */
export type FieldType = "text" | "time" | "date" | "number" | "document" | "word";

export interface Field {
  /** [Chinese, English]; both are column headings too. */
  label: readonly [string, string];
  type: FieldType;
  /** Other column headings, as `comparable` writes them. */
  headings: readonly string[];
  /** The prefix of the words for its values. */
  prefix?: string;
  /** Other spellings of its values. */
  spellings?: Readonly<Record<string, readonly string[]>>;
}

/** By the column's name in CSV, which is also the last part of the field's JSON pointer; in the order of a template. */
export const FIELDS = {
  id: {
    label: ["编号", "Number"],
    type: "text",
    headings: ["记录编号", "结果编号", "样本编号", "标本编号", "样本号", "标本号", "条码号", "samplenumber", "recordnumber"],
  },
  kind: {
    label: ["类型", "Kind"],
    type: "word",
    headings: ["记录类型", "类别"],
    prefix: "kind",
    spellings: { test_result: ["检测"], vaccination: ["接种"], identity: ["身份"], colour_assignment: ["赋码决定"] },
  },
  document_type: {
    label: ["证件类型", "Type of document"],
    type: "word",
    headings: ["证件种类", "证件类别"],
    prefix: "document",
    spellings: {
      cn_resident_id: ["身份证", "idcard"],
      hk_mo_tw_permit: ["回乡证", "台胞证", "港澳居民来往内地通行证", "台湾居民来往大陆通行证"],
    },
  },
  document_number: {
    label: ["证件号码", "Document number"],
    type: "document",
    headings: ["证件号", "身份证号", "身份证号码", "护照号", "护照号码", "idnumber", "passportnumber"],
  },
  occurred_at: {
    label: ["时间", "Time"],
    type: "time",
    headings: [
      "采样时间", "采样日期", "接种时间", "接种日期", "登记时间", "生效时间", "撤回时间", "发生时间", "sampledat", "sampletime",
      "givenat", "registeredat", "inforcefrom", "takenbackat",
    ],
  },
  test: {
    label: ["检测项目", "Test"],
    type: "word",
    headings: ["检测类型", "检测方法", "项目"],
    prefix: "test",
    spellings: { nucleic_acid: ["核酸", "pcr", "naat"], antigen: ["抗原"] },
  },
  result: {
    label: ["结果", "Result"],
    type: "word",
    headings: ["检测结果"],
    prefix: "result",
    spellings: { negative: ["阴", "neg"], positive: ["阳", "pos"], inconclusive: ["待复核", "可疑"] },
  },
  vaccine: { label: ["疫苗代码", "Vaccine"], type: "text", headings: ["疫苗", "疫苗编码", "cvx", "cvxcode"] },
  dose: { label: ["剂次", "Dose"], type: "number", headings: ["针次"] },
  name: { label: ["姓名", "Name"], type: "text", headings: [] },
  born: { label: ["出生日期", "Date of birth"], type: "date", headings: ["生日", "birthdate"] },
  deceased_at: { label: ["死亡时间", "Died at"], type: "time", headings: ["死亡日期"] },
  colour: {
    label: ["颜色", "Colour"],
    type: "word",
    headings: ["健康码颜色", "color"],
    prefix: "colour",
    spellings: { green: ["绿", "绿色"], yellow: ["黄", "黄色"], red: ["红", "红色"] },
  },
  reason: {
    label: ["赋码原因", "Reason"],
    type: "word",
    headings: ["原因"],
    prefix: "reason",
    spellings: {
      confirmed_case: ["确诊"],
      quarantine: ["隔离"],
      close_contact: ["密接"],
      risk_area: ["风险区", "风险地区"],
      released: ["解除"],
    },
  },
  until: { label: ["截止时间", "Until"], type: "time", headings: ["截止日期", "有效期至"] },
  event_id: { label: ["要撤回的编号", "Number to take back"], type: "text", headings: [] },
  why: { label: ["撤回原因", "Why it is taken back"], type: "text", headings: ["撤回理由"] },
  guardian_document_type: {
    label: ["监护人证件类型", "Guardian's type of document"],
    type: "word",
    headings: [],
    prefix: "document",
    spellings: { cn_resident_id: ["身份证", "idcard"] },
  },
  guardian_document_number: {
    label: ["监护人证件号码", "Guardian's document number"],
    type: "document",
    headings: ["监护人证件号", "监护人身份证号", "监护人身份证号码"],
  },
  revision: { label: ["更正次数", "Correction"], type: "number", headings: ["修订号"] },
  agency: { label: ["机构", "Agency"], type: "text", headings: [] },
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof FIELDS;
export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[];

const COMMON: readonly FieldName[] = ["id", "kind", "document_type", "document_number", "occurred_at"];
/** The fields of `data`, by kind; the second list is of those that may be absent. */
const OWN: Record<Kind, readonly [readonly FieldName[], readonly FieldName[]]> = {
  test_result: [["test", "result"], []],
  vaccination: [["vaccine"], ["dose"]],
  identity: [["name"], ["born", "deceased_at"]],
  colour_assignment: [["colour", "reason"], ["until"]],
  retraction: [["event_id", "why"], []],
  guardianship: [["guardian_document_type", "guardian_document_number"], ["until"]],
};

/** Without a kind, those of every event. */
export function requiredFields(kind: Kind | null): readonly FieldName[] {
  return [...COMMON, ...(kind === null ? [] : OWN[kind][0])];
}

/** The fields of `data`. */
export function ownFields(kind: Kind): readonly FieldName[] {
  return OWN[kind].flat();
}

/** Texts are compared without case, spaces, punctuation, and what stands in brackets; half and full width are alike. */
export function comparable(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\([^)]*\)|[\s_:*.·-]/g, "");
}

/** The label in the page's language; for `occurred_at` of a kind, what happened then. */
export function fieldLabel(name: FieldName, kind?: Kind): string {
  const pair = name === "occurred_at" && kind ? agencyWords[`at_${kind}`] : FIELDS[name].label;
  return pair[lang() === "zh" ? 0 : 1];
}

/** A value in the page's language; the value itself if it has no word. */
export function valueText(name: FieldName, value: string): string {
  const pair = wordOf(FIELDS[name], value);
  return pair === null ? value : pair[lang() === "zh" ? 0 : 1];
}

/** The same for the page: what somebody typed is isolated, since it is not in the page's language. */
export function valueNode(name: FieldName, value: string): Node | string {
  return wordOf(FIELDS[name], value) === null ? make("bdi", "", value) : valueText(name, value);
}

function wordOf({ prefix }: Field, value: string): readonly [string, string] | null {
  const all: Record<string, readonly [string, string]> = { ...words, ...agencyWords };
  const key = `${prefix}_${value}`;
  return prefix !== undefined && Object.hasOwn(all, key) ? all[key]! : null;
}

const DOCUMENT_TYPES = ["cn_resident_id", "passport", "hk_mo_tw_permit", "local"] as const;

/** The words that the page knows for the values of a field. A region may have more reasons than these. */
export const VALUES = {
  kind: KINDS,
  document_type: DOCUMENT_TYPES,
  guardian_document_type: DOCUMENT_TYPES,
  test: ["nucleic_acid", "antigen"],
  result: ["negative", "positive", "inconclusive", "invalid"],
  colour: ["green", "yellow", "red"],
  reason: [
    "confirmed_case", "quarantine", "close_contact", "risk_area", "overseas_arrival", "test_overdue", "released",
  ],
} as const satisfies Partial<Record<FieldName, readonly string[]>>;

const HEADINGS = new Map<string, FieldName>(
  FIELD_NAMES.flatMap((name) => {
    // Laboratories' lists have a column 机构 with the sender's name in words, which is no agency of a token.
    const labels = name === "agency" ? [] : FIELDS[name].label;
    return [name, ...labels, ...FIELDS[name].headings].map((heading) => [comparable(heading), name] as const);
  }),
);

/** The field that a column heading names, in either language; null if none. */
export function fieldOf(heading: string): FieldName | null {
  return HEADINGS.get(comparable(heading)) ?? null;
}

const SPELLINGS = new Map<string, Map<string, string>>(
  Object.entries(VALUES).map(([name, values]) => {
    const field: Field = FIELDS[name as FieldName];
    const spelled = (value: string) => [value, ...(wordOf(field, value) ?? []), ...(field.spellings?.[value] ?? [])];
    return [name, new Map(values.flatMap((value) => spelled(value).map((text) => [comparable(text), value] as const)))];
  }),
);

/** The value that a text spells in either language; null if none. */
export function valueOf(name: FieldName, text: string): string | null {
  return SPELLINGS.get(name)?.get(comparable(text)) ?? null;
}
