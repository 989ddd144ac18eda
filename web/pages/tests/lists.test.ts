/** Lists of spreadsheets: dates, separators, encodings, columns, formulas, reasons. */
import "./globals.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCsv, recordValues, safeRecord, separatorOf } from "../src/agency/csv.ts";
import { readDate, readTime } from "../src/agency/dates.ts";
import { decodeText } from "../src/agency/encoding.ts";
import { fieldOf, valueOf } from "../src/agency/fields.ts";
import { parseFile } from "../src/agency/parse-file.ts";
import { problemText } from "../src/agency/reason-text.ts";
import { REASON } from "../src/agency/reasons.ts";
import { readRecord, type EventRecord } from "../src/agency/record.ts";
import { residentIdError } from "../src/agency/resident-id.ts";
import { serialTime } from "../src/agency/serial-time.ts";
import { readTable } from "../src/agency/table.ts";

const local = (...parts: [number, number, number, number?, number?, number?]): string => {
  const [year, month, day, ...time] = parts;
  return new Date(year, month - 1, day, ...time).toISOString().replace(".000Z", "Z");
};

test("a time is read as spreadsheets and people of many countries write it", () => {
  for (const [text, value] of [
    ["2026/11/29 8:30", local(2026, 11, 29, 8, 30)],
    ["2026-11-29 08:30:15", local(2026, 11, 29, 8, 30, 15)],
    ["2026年11月29日 8时30分", local(2026, 11, 29, 8, 30)],
    ["2026/11/29 下午2:05", local(2026, 11, 29, 14, 5)],
    ["11/29/2026 2:05 PM", local(2026, 11, 29, 14, 5)],
    ["11/29/2026 12:05 am", local(2026, 11, 29, 0, 5)],
    ["29.11.2026", local(2026, 11, 29)],
    ["06/06/2026", local(2026, 6, 6)],
    ["20261129", local(2026, 11, 29)],
    ["202611290830", local(2026, 11, 29, 8, 30)],
    ["２０２６/１１/２９ ８：３０", local(2026, 11, 29, 8, 30)],
    ["2026-11-29T08:30:00+08:00", "2026-11-29T08:30:00+08:00"],
  ] as const) {
    assert.deepEqual(readTime(text), { value }, text);
  }
  assert.deepEqual(readDate("1990年3月7日"), { value: "1990-03-07" });
});

test("a time that could be two, or none, is refused with what to write", () => {
  for (const text of ["05/06/2026", "5.6.2026 8:30", "05-06-2026"]) {
    assert.deepEqual(readTime(text), { error: REASON.ambiguousDate }, text);
  }
  for (const text of ["46355.35", "46355"]) assert.deepEqual(readTime(text), { error: REASON.serialDate }, text);
  for (const text of ["2026-02-30", "26/11/29", "29 Nov 2026", "2026-11-29 25:00", "2026-11-29 13:05 PM", "8:30"]) {
    assert.deepEqual(readTime(text), { error: REASON.time }, text);
  }
  assert.deepEqual(readDate("7 March 1990"), { error: REASON.date });
});

test("a workbook's day numbers are read by both of its calendars", () => {
  assert.equal(serialTime(46346.354166666664, false), "2026-11-20 08:30:00");
  assert.equal(serialTime(44884.354166666664, true), "2026-11-20 08:30:00");
});

test("a text is decoded by its mark, and without one as UTF-8, UTF-16 or GB18030", () => {
  const utf16 = (text: string, isBig: boolean): number[] =>
    [...text].flatMap((letter) => {
      const [high, low] = [letter.charCodeAt(0) >> 8, letter.charCodeAt(0) & 255];
      return isBig ? [high, low] : [low, high];
    });
  for (const [bytes, text, encoding] of [
    [[0xef, 0xbb, 0xbf, 0x61, 0x2c], "a,", "utf-8"],
    [[0xff, 0xfe, ...utf16("张,", false)], "张,", "utf-16le"],
    [[0xfe, 0xff, ...utf16("张,", true)], "张,", "utf-16be"],
    [utf16("id,kind", false), "id,kind", "utf-16le"],
    [utf16("id,kind", true), "id,kind", "utf-16be"],
    [[0xd5, 0xc5, 0xc8, 0xfd, 0x2c], "张三,", "gb18030"],
  ] as const) {
    assert.deepEqual(decodeText(new Uint8Array(bytes)), { text, encoding }, encoding);
  }
  for (const bytes of [[0x81, 0x20, 0x2c], [0x61, 0, 0, 0x2c]]) assert.equal(decodeText(new Uint8Array(bytes)), null);
});

test("values keep their quotes, separators and line breaks, and no value is a formula", () => {
  assert.equal(separatorOf('"a,b,c";d;e'), ";");
  assert.equal(separatorOf("a\tb,c\td"), "\t");
  const text = 'a;"b;""x""\ny";c\n\n;;\n1;2;3';
  const rows = parseCsv(text, ";");
  assert.ok(Array.isArray(rows));
  assert.deepEqual((rows as { text: string; line: number }[]).map(({ line }) => line), [1, 5]);
  assert.deepEqual(recordValues((rows as { text: string }[])[0]!.text, ";"), ["a", 'b;"x"\ny', "c"]);
  const values = ["=1+1", "+1", "-1", "@x", "\tx", "it's", "a,b", 'say "x"', ""];
  assert.ok(safeRecord(values).startsWith("'=1+1,'+1,'-1,'@x,"));
  assert.deepEqual(recordValues(safeRecord(values), ","), values);
});

test("columns and values are known in both languages", () => {
  for (const [heading, field] of [
    ["样本编号", "id"],
    ["身份证号 *", "document_number"],
    ["采样时间（本地时间）", "occurred_at"],
    ["Sampled at", "occurred_at"],
    ["OCCURRED_AT", "occurred_at"],
    ["检测结果", "result"],
    ["机构", null],
    ["电话", null],
    ["检测时间", null],
  ] as const) {
    assert.equal(fieldOf(heading), field, heading);
  }
  assert.equal(valueOf("result", " 阳性 "), "positive");
  assert.equal(valueOf("result", "Positive"), "positive");
  assert.equal(valueOf("test", "核酸（PCR）"), "nucleic_acid");
  assert.equal(valueOf("reason", "密接"), "close_contact");
  for (const text of ["弱阳性", "+", "-", "1", "未检出"]) assert.equal(valueOf("result", text), null, text);
});

const SENT: EventRecord = {
  id: "S-1",
  kind: "检测结果",
  document_type: "身份证",
  document_number: "610102199003070016",
  occurred_at: "2026-11-20 08:30",
  test: "核酸",
  result: "阴性",
};
const READING = { agency: "lab-7", daysSince: null };
const read = (changes: EventRecord) => readRecord({ ...SENT, ...changes }, READING);

test("a tab at the end of a file is an empty value of its last row", async () => {
  const rows = ["编号\t证件号码\t采样时间\t检测项目\t结果\t备注", "S-1\t610102199003070016\t2026-11-20\t核酸\t阳性\t"];
  const file = await parseFile(new TextEncoder().encode(`${rows.join("\r\n")}\r\n`), READING.agency);
  assert.ok("rows" in file && file.rows.length === 1 && file.mistakes.length === 0);
});

test("a column that every row needs is missed once, and not in each row", async () => {
  const [common, row] = [["编号", "证件号码", "采样时间"], ["S-1", "610102199003070016", "2026-11-20 08:30"]];
  const table = (...columns: [string, string][]) => {
    const lines = [[...common, ...columns.map(([heading]) => heading)], [...row, ...columns.map(([, value]) => value)]];
    return readTable({ rows: lines.map((values, at) => ({ line: at + 1, values: () => values })) }, READING);
  };
  const missed = (value: string[]) => ({ word: "columns_missing", value });
  assert.deepEqual(await table(["检测项目", "核酸"], ["检测结论", "阴性"]), missed(["result"]));
  assert.deepEqual(await table(["颜色", "红码"], ["备注", ""]), missed(["reason"]));
  assert.deepEqual(await table(["备注", ""]), missed(["kind"]));
  // Here each row says what it needs.
  assert.ok("rows" in (await table(["类型", "撤回"], ["要撤回的编号", "S-1"], ["撤回原因", "有误"])));
});

test("a row is read into the service's words, and its mistakes are named by field", () => {
  const { record, errors } = read({ name: "李小明" });
  assert.deepEqual(errors, []);
  assert.equal(record.result, "negative");
  assert.equal(record.name, undefined, "a name beside a result does not leave the page");
  assert.equal(read({ document_type: "local", document_number: "A-17" }).record.document_number, "lab-7/A-17");
  for (const [changes, pointer, detail] of [
    [{ document_number: "610102199003070017" }, "/document_number", REASON.residentCheck],
    [{ document_number: "6.10102E+17" }, "/document_number", REASON.shortened],
    [{ id: " " }, "/id", REASON.missing],
    [{ occurred_at: "05/06/2026" }, "/occurred_at", REASON.ambiguousDate],
    [{ result: "fine" }, "/result", "expected one of negative, positive, inconclusive, invalid"],
  ] as const) {
    assert.deepEqual(read(changes).errors, [{ pointer, detail }]);
  }
  assert.equal(residentIdError("61010219900307001"), REASON.residentShape);
  assert.equal(residentIdError("610102199013070016"), REASON.residentBirth);
});

test("reasons are Chinese on a Chinese page, and an unknown one is quoted", () => {
  const problem = (detail: string, errors?: { pointer: string; detail: string }[]) => {
    const [type, status, title] = ["https://yima.dev/problems/forbidden", 403, "The token does not allow this"];
    return problemText({ type, status, title, detail, ...(errors ? { errors } : {}) });
  };
  const right = "expected one of this agency's kinds: test_result, vaccination";
  assert.equal(problem("", [{ pointer: "/kind", detail: right }]), "类型：本机构可提交的类型只有：检测结果、疫苗接种");
  const colour = "the reason test_overdue gives only yellow";
  assert.equal(problem("", [{ pointer: "/data/colour", detail: colour }]), "颜色：赋码原因“未按时检测”只能赋：黄码");
  assert.equal(problem("", [{ pointer: "/status", detail: "expected a FHIR instant" }]), "/status：应为 FHIR instant");
  const nested = "the earlier version is taken back: not a COVID-19 vaccine (by its CVX code)";
  assert.equal(problem(nested), "较早的版本已撤回：不是新冠疫苗（按 CVX 代码）");
  assert.equal(problem("Something new"), "此令牌无权提交；系统的说明（英文）：“Something new”");
});
