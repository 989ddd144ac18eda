/** Reasons for refusing a row. */

/** What the page itself says of a value, in the same words where the service says it too. */
export const REASON = {
  missing: "expected a value",
  oneOf: "expected one of {}",
  fieldCount: "expected {} fields, as the first line has",
  time: "expected a date and time with the year first, such as 2026-11-29 14:30",
  date: "expected a date with the year first, such as 1990-03-07",
  ambiguousDate: "expected the year first, such as 2026-11-29: here day and month cannot be told apart",
  serialDate:
    "expected a date, such as 2026-11-29 14:30: this is the number by which a spreadsheet keeps one; format the column \
as date and time",
  shortened: "expected every digit: the spreadsheet has shortened this number; format the column as text",
  residentShape: "not a resident identity number (GB 11643): expected 17 digits followed by a digit or X",
  residentBirth: "not a resident identity number (GB 11643): digits 7 to 14 must be a date of birth (YYYYMMDD)",
  residentCheck:
    "not a resident identity number (GB 11643): the check character does not match the other 17 digits",
} as const;

/**
 * Why the service or this page does not take a row: the English, `{}` for what differs from row to row, with its
 * Chinese. A test compares the list with the service's source.
 */
export const REASONS: Record<string, string> = {
  // What this page finds itself.
  [REASON.missing]: "此项必填",
  [REASON.time]: "应为先写年份的日期和时间，如 2026-11-29 14:30",
  [REASON.date]: "应为先写年份的日期，如 1990-03-07",
  [REASON.ambiguousDate]: "请先写年份，如 2026-11-29：此处分不清日和月",
  [REASON.serialDate]: "应为日期，如 2026-11-29 14:30：这是表格软件内部的日期数字，请将该列设为日期时间格式",
  [REASON.shortened]: "应为完整号码：表格软件已将它缩短，请将该列设为文本格式后重新输入",

  // Fields of an event.
  [REASON.oneOf]: "应为以下之一：{}",
  "expected an object": "缺少内容",
  "unknown field; expected {}": "没有此字段；可用的有：{}",
  "expected a text": "此项必填",
  "expected a time as RFC 3339 writes it, with an offset, such as 2026-11-22T07:30:00Z":
    "应为带时区的时间，如 2026-11-22T07:30:00Z",
  "expected a whole number from 0 to 9007199254740991": "应为 0 至 9007199254740991 的整数",
  "expected a name of 1 to 200 characters, without control and format characters": "应为 1 至 200 个字的姓名，不含控制字符",
  "expected the reason in 1 to 200 characters, without control and format characters":
    "应为 1 至 200 个字的原因，不含控制字符",
  "expected 1 to 100 letters, digits or . _ : / -": "应为 1 至 100 个英文字母、数字或 . _ : / -",
  "an agency writes under its own name only: leave `agency` out or send the token's": "只能以本机构的名义提交",
  "expected the agency of the token": "应为登录的机构",
  "expected a time that is not in the future": "不能是将来的时间",
  "expected a number of the token's own agency: agency/number": "应为本机构的编号：机构/编号",
  "expected a date of birth that is not after occurred_at": "出生日期不能晚于登记时间",
  "expected a CVX code, such as \"208\"": "应为 CVX 疫苗代码，如 208",
  "expected a whole number from 1 to 20": "应为 1 至 20 的整数",
  "expected a time after occurred_at": "应晚于生效时间",
  "expected another person than the subject": "监护人不能是本人",
  "the reason {} gives only {}": "赋码原因“{}”只能赋：{}",
  "expected a number whose date of birth is not in the future": "号码中的出生日期不能是将来",
  "expected a date of birth as YYYY-MM-DD, from 1850 on and not in the future": "应为 1850 年以来的出生日期，如 1990-03-07",
  "expected a time that is not before the person's birth": "不能早于本人出生",
  "expected a time after the disease began, {}": "不能早于疫情开始（{}）",
  [REASON.residentShape]: "不是居民身份证号码：应为 17 位数字加一位数字或 X",
  [REASON.residentBirth]: "不是居民身份证号码：第 7 至 14 位应为出生日期",
  [REASON.residentCheck]: "不是居民身份证号码：末位校验码与前 17 位不符，可能有一位输错",
  "not a resident identity number (GB 11643): {}": "不是居民身份证号码：{}",
  "expected 17 digits followed by a digit or X": "应为 17 位数字加一位数字或 X",
  "expected a passport number: 5 to 20 letters and digits": "应为护照号码：5 至 20 个字母和数字",
  "expected a permit number: H or M and 8 digits, or 8 digits": "应为通行证号码：H 或 M 加 8 位数字，或 8 位数字",
  "expected an agency's name, a slash and its own number of 1 to 64 letters, digits, dots, dashes or underscores":
    "应为机构名、斜线和 1 至 64 位的本机构编号（英文字母、数字、. - _）",
  "the earlier version is taken back: {}": "较早的版本已撤回：{}",
  "not a COVID-19 vaccine (by its CVX code)": "不是新冠疫苗（按 CVX 代码）",

  // What the registry of agencies does not allow, and limits.
  "The registry of agencies does not name this agency": "机构登记中没有本机构",
  "The registry of agencies does not allow this event": "机构登记不允许本机构提交此项",
  "expected none: this agency has no {}": "本机构无权提交任何{}",
  "expected one of this agency's {}: {}": "本机构可提交的{}只有：{}",
  "expected none: this agency may not close a code": "本机构无权注销健康码",
  "expected a sample of the last {} h: an older negative result may not end another agency's positive one":
    "应为最近 {} 小时内的采样：更早的阴性结果不能解除其他机构的阳性结果",
  "This agency may restrict {} persons in a minute: send the event again after the wait":
    "本机构每分钟最多可对 {} 人赋黄码或红码，请稍后再提交",
  "This agency has {} requests in flight; wait for the answer to one of them": "本机构同时有 {} 个请求，请等待其中一个完成",
  "An event with this id and revision but different content already exists; send a correction with a higher revision":
    "此编号已提交过不同的内容。若是更正，请把更正次数加一；若是另一份记录，请换一个编号",
  "a resource with this id and version but different content already exists: expected a correction with a higher \
meta.versionId or meta.lastUpdated":
    "此编号和版本已提交过不同的内容；更正须有更高的 meta.versionId 或 meta.lastUpdated",
  "A subject takes {} events, {} of one agency, and beyond that {} of each agency that restrict or take an event \
back; retract what is wrong":
    "每人最多 {} 条记录，其中每个机构 {} 条，另有各机构 {} 条用于赋码或撤回；请撤回有误的记录",
  "The disk has too little free space: this event was not stored; send it again later": "系统存储空间不足，未接收，请稍后再提交",
  "It is not known whether this event was stored; send it again: an event that was stored is not stored twice":
    "是否接收尚不确定，请再次提交：不会重复",
  "It is not known whether this event was stored; the error has been reported": "是否接收尚不确定，故障已上报",
  "Too many uploads are being stored: this one was not read; send it again later": "系统正忙，未读取，请稍后再提交",
  "expected an event of at most {} bytes": "一条记录最多 {} 字节",
  "A body may have up to {} rows": "一次最多 {} 行",

  "The token lacks the scope {}: use one that has it": "此令牌没有 {} 权限，请换用有此权限的令牌",
  "The token has no valid claim `agency`: use a token that was issued to an agency": "此令牌不是签发给机构的",
  "The request failed; the cause is logged. It may be sent again": "提交失败，原因已记录，可再次提交",
  "The answer was not ready in time; try again shortly": "系统未能及时答复，请稍后重试",
  "Many are waiting; send the request again with the ticket, after Retry-After": "人数较多，请持排队凭证按时再提交",
  "More are waiting than can be served in ten minutes; try again later": "排队人数已满，请稍后再提交",
  "Too many requests are in flight; try again shortly": "系统繁忙，请稍后重试",
  "The body did not arrive in time; send it again": "内容未能及时送达，请重新提交",
  "The body is too large: this route accepts up to {} bytes": "内容过大：一次最多 {} 字节",

  // Files.
  "Not JSON in UTF-8 from line {}, column {} on, or nested over {} deep": "不是 UTF-8 的 JSON（第 {} 行第 {} 列起），或嵌套超过 {} 层",
  "expected one member of this name in its object (RFC 7493)": "同一对象中此名称只能出现一次",
  "Expected one JSON document a line, or CSV with a header and at least one record": "应为每行一个 JSON，或有列名和至少一行的 CSV",
  "Expected UTF-8; a spreadsheet program calls it \"CSV UTF-8\"": "应为 UTF-8 编码",
  [REASON.fieldCount]: "应有 {} 列，与首行相同",
  "expected at most {} columns in the first line, each one of {}": "首行最多 {} 列，可用的有：{}",
  "expected this column once": "此列只能出现一次",
  "expected this column in the first line": "首行缺少此列",
  "column {} of the first line: expected one of {}, separated by commas": "首行第 {} 列：应为以下之一，以逗号分隔：{}",
  "expected the quote that ends a value to stand before a comma or the end of its line, and a quote within to \
be written twice":
    "结束引号之后应为逗号或行尾，值中的引号须写两次",
  "expected a value with a quote within to be in quotes, and that quote to be written twice":
    "含引号的值须整个放在引号内，其中的引号写两次",
  "expected lines that end in LF or CRLF": "行尾应为 LF 或 CRLF",

  // FHIR resources.
  "Expected a Bundle with at least one entry": "Bundle 中应至少有一项",
  "the result is not final yet": "结果尚未最终确定",
  "{}: not a Patient, Immunization or Observation": "{}：不是 Patient、Immunization 或 Observation",
  "Patient: this agency sends no identities": "Patient：本机构不提交身份登记",
  "not a test for SARS-CoV-2 that counts here (by its LOINC code)": "不是此处计入的新冠检测（按 LOINC 代码）",
  "expected none beside a value (obs-6)": "已有值时不应再有此项（obs-6）",
  "expected an interpretation that says the same as the value": "解释应与值一致",
  "expected codings that say the same": "各编码应一致",
  "expected a FHIR date, such as 1990, 1990-03 or 1990-03-07, from 1850 on and not in the future":
    "应为 1850 年以来的 FHIR 日期，如 1990、1990-03 或 1990-03-07",
  "expected a name with text, or family and given, without control and format characters":
    "应有姓名的 text，或 family 与 given，不含控制字符",
  "expected true or false": "应为 true 或 false",
  "expected a time that is not before the birthDate": "不能早于 birthDate",
  "expected a coding of system {} with one of the codes {}": "应有 {} 的编码，代码为以下之一：{}",
  "expected a coding of system {}": "应有 {} 的编码",
  "expected completed, not-done or entered-in-error": "应为 completed、not-done 或 entered-in-error",
  "expected a FHIR id: 1 to 64 letters, digits, dashes and dots": "应为 FHIR id：1 至 64 个英文字母、数字、- 和 .",
  "expected a FHIR dateTime, such as 2021, 2021-05, 2021-05-16 or 2021-05-16T05:15:06-04:00":
    "应为 FHIR dateTime，如 2021、2021-05、2021-05-16 或 2021-05-16T05:15:06-04:00",
  "expected the id of the resource that is taken back": "应为要撤回的资源的 id",
  "expected none: it may change the meaning of the resource": "不应有此项：它可能改变资源的含义",
  "expected a number up to 9007199254740991": "应为不超过 9007199254740991 的整数",
  "expected a FHIR instant": "应为 FHIR instant",
  "expected a whole number, or meta.lastUpdated beside it: revisions have an order":
    "应为整数，或同时有 meta.lastUpdated：各版本须有先后",
  "expected Patient, Immunization or Observation: this resource is not understood here":
    "应为 Patient、Immunization 或 Observation：不支持此资源",
  "expected results and doses as resources of their own: contained ones are not read":
    "结果和接种须为独立的资源：不读取 contained 中的内容",
  "expected the code of a test that counts here: this result is or may be positive":
    "应为此处计入的检测代码：此结果是或可能是阳性",
  "expected final, amended, corrected, registered, preliminary, cancelled or entered-in-error":
    "应为 final、amended、corrected、registered、preliminary、cancelled 或 entered-in-error",
  "expected tests of one kind in one Observation": "一个 Observation 中的检测应为同一类",
  "expected no positive component of a negative result": "阴性结果中不应有阳性的分项",
  "expected a FHIR resource": "应为 FHIR 资源",
  "expected a list": "应为列表",
  "expected one number of this system: two name two persons, unless one has the use old":
    "此类号码只能有一个（use 为 old 的除外）：两个号码是两个人",
  "expected a reference to one Patient in the Bundle, whose identifiers are in order":
    "应引用 Bundle 中的一个 Patient，且其 identifier 无误",
  "expected an identifier of the Patient that the reference beside it names: they name two persons":
    "identifier 应与所引用的 Patient 一致：现在是两个人",
  "expected Patient/id, the fullUrl of a Patient in the same Bundle, or beside it an identifier of a known system":
    "应为 Patient/id、同一 Bundle 中 Patient 的 fullUrl，或同时有已知系统的 identifier",
  "expected an id, or an identifier of a known system": "应有 id，或已知系统的 identifier",
  "expected the number of the document": "应为证件号码",
};

/** The problems' types (RFC 9457), for a detail that is not listed. */
export const PROBLEM_TYPES: Record<string, string> = {
  malformed: "内容无法读取",
  invalid: "有字段的值无效",
  unauthenticated: "需要有效的令牌",
  forbidden: "此令牌无权提交",
  "not-found": "没有此地址",
  "method-not-allowed": "此地址不接受这种请求",
  timeout: "提交超时",
  conflict: "此编号已提交过不同的内容",
  "subject-full": "此人的记录已达上限",
  "unknown-phone": "此人没有这部手机",
  "too-many-phones": "此人的手机数已达上限",
  "not-a-guardian": "不是此人的监护人",
  "too-many-guardianships": "监护关系数已达上限",
  "invitation-over": "邀请已失效",
  "too-large": "内容过大",
  "unsupported-media-type": "不支持此格式",
  misdirected: "此地址不属于该服务",
  "too-many-requests": "提交过于频繁",
  internal: "系统故障",
  "being-updated": "正在更新，请稍后再试",
  "no-room": "系统存储空间不足",
  waiting: "人数较多，正在排队",
  unavailable: "系统暂时无法答复",
};
