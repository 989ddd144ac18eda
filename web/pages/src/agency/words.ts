import type { Word } from "../shared/i18n.ts";

/** The texts of the agency's page alone: [Chinese, English]. `{}` is replaced by one value. */
export const agencyWords = {
  agency: ["机构上报", "Agency"],
  agency_note: ["演示：以实验室 lab-7 的身份登录。", "Demo: sign in as the laboratory lab-7."],
  agency_sign_in: ["以 lab-7 登录", "Sign in as lab-7"],

  // The guide, open at first.
  guide: ["使用说明", "How to use this page"],
  guide_single: [
    "一条记录：选择类型，填写证件号码和内容，核对后提交。一经接收立即生效。",
    "One record: choose its kind, fill in person and content, compare, send. Once accepted it is in force at once.",
  ],
  guide_undo: [
    "填错了：在“本次登录已提交”中更正或撤回。刷新页面后，用类型“撤回”，按记录的编号撤回。",
    "A mistake: correct it, or take it back, under \"Sent since you signed in\". After a reload, choose the kind " +
      "\"Take back\" and give the record's number.",
  ],
  guide_file: [
    "文件：下载模板，填写后选择文件。先核对页面显示的内容，再提交；有误的行可下载，改正后再次选择。",
    "A file: download the template, fill it in, choose it. Check what the page shows before you send it. Rows with " +
      "mistakes can be downloaded, corrected and chosen again.",
  ],
  guide_keys: [
    "键盘：Tab 到下一项，选择框按首字或方向键，Enter 核对，Esc 返回。",
    "Keyboard: Tab for the next field, the first letter or the arrows in a list, Enter to check, Esc to go back.",
  ],
  guide_leave: [
    "用完请在每个标签页退出：此电脑上不会留下任何记录。",
    "Sign out in every tab when you leave: nothing stays on this computer.",
  ],
  guide_close: ["知道了", "Close"],

  // The form for one event.
  single_title: ["提交一条记录", "Send one record"],
  kind: ["类型", "Kind"],
  kind_test_result: ["检测结果", "Test result"],
  kind_vaccination: ["疫苗接种", "Vaccination"],
  kind_identity: ["身份登记", "Identity"],
  kind_colour_assignment: ["赋码", "Colour decision"],
  kind_retraction: ["撤回", "Take back"],
  kind_guardianship: ["监护关系", "Guardianship"],
  at_test_result: ["采样时间", "Sampled at"],
  at_vaccination: ["接种时间", "Given at"],
  at_identity: ["登记时间", "Registered at"],
  at_colour_assignment: ["生效时间", "In force from"],
  at_retraction: ["撤回时间", "Taken back at"],
  at_guardianship: ["生效时间", "In force from"],
  document_local: ["本机构编号", "The agency's own number"],
  choose: ["请选择", "Choose"],
  optional: ["{}（可不填）", "{} (optional)"],
  time_hint: ["本地时间，年月日在前，如 2026-11-29 14:30", "Local time, the year first, such as 2026-11-29 14:30"],
  date_hint: ["如 1990-03-07", "Such as 1990-03-07"],
  id_hint: ["样本或记录的编号，自动生成，可改为本机构的编号", "Made for you; put your sample's own number here if it has one"],
  vaccine_hint: ["CVX 代码，如 511（科兴）、510（国药）", "CVX code, such as 511 (CoronaVac), 208 (Pfizer)"],
  revision_hint: ["首次为 0，每次更正加一", "0 at first, one more with each correction"],
  now: ["现在", "Now"],
  check_and_send: ["核对并提交", "Check and send"],
  correcting: [
    "正在更正 {}。人员和类型不能更改：若提交给了错误的人，请撤回后重新提交。",
    "You are correcting {}. Person and kind stay: if it was the wrong person, take it back and send it again.",
  ],
  correct_cancel: ["不更正", "Do not correct"],
  conflict_hint: [
    "若是更正，请再次提交（更正次数已加一）；若是另一份记录，请换一个编号。",
    "If this is a correction, send it again (the correction number is now one higher). If it is another record, " +
      "give it another number.",
  ],
  form_faults: ["请改正标出的各项。", "Please correct the fields that are marked."],
  sending: ["正在提交…", "Sending…"],
  status_accepted: ["已接收，已生效。", "Accepted, and in force."],
  status_duplicate: ["之前已接收过，未作更改。", "Already accepted before; nothing was changed."],
  status_ignored: ["与健康码无关，未采用：{}", "Not used, because it does not concern health codes: {}"],
  status_rejected: ["未接收：{}", "Not accepted: {}"],
  status_busy: ["系统繁忙，请 {} 秒后重试。", "The service is busy. Try again in {} s."],
  status_unreachable: [
    "无法连接。是否接收尚不确定；可原样重试，不会重复。",
    "No answer came, so it is not known whether the record was accepted. Send it again unchanged: it is never " +
      "counted twice.",
  ],

  // The question before an event is sent.
  confirm_title: ["请核对后提交", "Check before you send"],
  confirm_restricts: [
    "一经提交，此人的健康码立即改变。请核对证件号码。",
    "This changes the person's health code at once. Compare the document number.",
  ],
  confirm_back: ["返回修改", "Back"],
  confirm_send: ["确认提交", "Send"],
  take_back_title: ["撤回此记录", "Take this record back"],
  take_back_note: [
    "撤回后此记录不再影响健康码，且不能恢复；需要时请以新编号重新提交。",
    "The record then has no effect on the health code any more, and cannot be restored: send it under a new number.",
  ],
  take_back_send: ["撤回", "Take back"],
  born_male: ["男，{} 出生", "Male, born {}"],
  born_female: ["女，{} 出生", "Female, born {}"],

  // What was sent since signing in.
  sent_title: ["本次登录已提交", "Sent since you signed in"],
  sent_none: ["还没有提交。", "Nothing yet."],
  sent_note: ["只保存在此页面：退出、刷新或关闭后不再显示。", "Kept on this page only: a sign-out, reload or close removes it."],
  time: ["时间", "Time"],
  actions: ["操作", "Actions"],
  why_taken_back: ["撤回原因", "Why it is taken back"],
  why_missing: ["请填写撤回原因。", "Say why it is taken back."],
  sent_file: ["文件", "File"],
  rows: ["行数", "Rows"],
  sent_person: ["证件号码", "Document number"],
  sent_what: ["内容", "Content"],
  sent_state: ["状态", "State"],
  sent_in_force: ["有效", "in force"],
  sent_corrected: ["已更正 {} 次", "corrected ({})"],
  sent_taken_back: ["已撤回", "taken back"],
  correct: ["更正", "Correct"],
  take_back: ["撤回", "Take back"],

  upload_title: ["上传文件", "Upload a file"],
  upload_note: [
    "Excel（.xlsx）或 CSV，首行为列名，中文英文均可；也可用每行一个事件的 JSON 或 FHIR R4。提交前会先显示内容。",
    "Excel (.xlsx) or CSV with column names in the first line, in Chinese or English; also one JSON event or FHIR R4 " +
      "resource a line. The content is shown before anything is sent.",
  ],
  file: ["选择文件", "Choose a file"],
  template: ["下载模板", "Download a template"],
  template_xlsx: ["Excel 模板", "Excel template"],
  template_csv: ["CSV 模板", "CSV template"],
  template_notes: ["填写说明", "Notes"],
  list_comma: ["、", ", "],
  list_semicolon: ["；", "; "],
  list_colon: ["：", ": "],
  reason_unknown: ["系统的说明（英文）：“{}”", "{}"],
  reason_more: ["；另有错误未列出", "; more errors are not listed"],
  reading: ["正在读取…", "Reading…"],
  preview_ready: ["请核对以下内容，再提交这 {} 行。", "Check what follows, then send these {} rows."],
  preview_mistakes: [
    "{} 行有误，不会提交，见下方列表。可先在文件中改正后重新选择，也可先提交其余的行。",
    "{} rows have mistakes and are not sent: see the list. Correct them in the file and choose it again, or send the " +
      "other rows first.",
  ],
  preview_first: ["文件的前几行", "The first rows of the file"],
  preview_rows: ["{} 行", "{} rows"],
  preview_encoding: ["编码：{}。若姓名是乱码，请另存为“CSV UTF-8”。", "Encoding: {}. If names look wrong, save as \"CSV UTF-8\"."],
  preview_sheet: ["工作表：{}", "Sheet: {}"],
  preview_other_sheets: ["另有 {} 个工作表，不读取。", "{} other sheets are not read."],
  preview_fhir: ["FHIR R4 资源，由系统逐行检查。", "FHIR R4 resources; the service checks each."],
  preview_assumed: ["文件中没有此列，每行均按：{}", "The file has no such column; every row is taken as: {}"],
  preview_zone: ["时间按本机时区（{}），没有时刻的按 00:00。", "Times are in this computer's time zone ({}); a date alone is 00:00."],
  preview_unused: ["不提交的列：{}", "Columns that are not sent: {}"],
  preview_not_sent: ["不提交", "not sent"],
  send_rows: ["提交 {} 行", "Send {} rows"],
  discard_file: ["不提交", "Do not send"],
  columns_unknown: [
    "找不到列名：首行应有“编号”“证件号码”“采样时间”等列名。可先下载模板。",
    "No column names are recognized: the first line should have names such as \"Number\" and \"Document number\". " +
      "Download the template to see all.",
  ],
  column_twice: ["不止一列表示：{}。请只保留一列。", "More than one column is for: {}. Keep one."],
  columns_missing: ["缺少列：{}。可先下载模板。", "Columns are missing: {}. Download the template to see all."],
  not_text: [
    "无法识别此文件的编码。请另存为“CSV UTF-8”或 .xlsx。",
    "The encoding of this file is not recognized. Save it as \"CSV UTF-8\" or .xlsx.",
  ],
  not_a_file: [
    "无法识别此文件：需要 Excel（.xlsx）、CSV，或每行一个 JSON 的文件，并且有至少一行内容。",
    "This file is not understood: it must be Excel (.xlsx), CSV, or have one JSON document a line, with at least one " +
      "row.",
  ],
  xls: [
    "这是旧的 .xls 格式，或有密码。请在 Excel 中另存为 .xlsx，不设密码。",
    "This is an old .xls file, or has a password. Save it as .xlsx without a password.",
  ],
  xlsx_unread: ["无法读取此 Excel 文件，可能已损坏。", "This Excel file cannot be read; it may be damaged."],
  xlsx_too_large: [
    "此 Excel 文件过大（最多 10 万行）。请分成几份，或存为 CSV。",
    "This Excel file is too large (100,000 rows at most). Split it, or save it as CSV.",
  ],
  xlsx_not_loaded: [
    "无法加载读取 Excel 的程序，请检查网络后重试。",
    "The part that reads Excel could not be loaded. Check the network and try again.",
  ],
  quote_misplaced: [
    "第 {} 行：引号位置不对；未提交任何内容。含引号的值须整个放在引号内，其中的引号写两次。",
    "Line {}: a quotation mark is out of place; nothing was sent. Put a value that contains one into quotation " +
      "marks, and double each one within it.",
  ],
  quote_open: ["第 {} 行：引号没有结束；未提交任何内容。", "Line {}: a quotation mark is never closed; nothing was sent."],
  line_end: [
    "第 {} 行：换行符只有 CR，无法识别；未提交任何内容。请另存为普通的 CSV。",
    "Line {} ends with a bare CR, as old Macintosh files do; nothing was sent. Save it as an ordinary CSV.",
  ],
  file_gone: ["无法读取此文件，请重新选择。", "The file cannot be read. Please choose it again."],
  too_large: ["文件超过 100 MB，请分成几份。", "The file is over 100 MB. Please split it."],
  progress: ["已处理 {} 行", "{} rows done"],
  uploading: ["正在上传…", "Uploading…"],
  waiting_busy: ["系统繁忙，{} 秒后继续。", "The service is busy; going on in {} s."],
  waiting_unreachable: ["无法连接，{} 秒后重试。", "No connection to the service; trying again in {} s."],
  wait_for_file: ["请等待当前文件提交完，或先停止。", "Wait until this file is sent, or stop it first."],
  stop: ["停止", "Stop"],
  stopped: ["已停止；未提交的行在下方列出。", "Stopped. Rows that were not sent are listed below."],
  finished: ["已完成。", "Finished."],
  finished_partly: ["已完成，{} 行未被采用，见下。", "Finished, {} rows not accepted: see below."],
  answer_mismatch: [
    "系统的答复与所提交的行不符，已停止。状态不明的行见下；可再次提交，不会重复。",
    "The answer does not match the rows that were sent, so the upload has stopped. Rows whose outcome is not " +
      "known are listed below; sent again, they are not counted twice.",
  ],
  refused_status: ["服务器未说明原因（状态 {}）", "The server gave no reason (status {})"],
  count_accepted: ["已接收", "accepted"],
  count_duplicate: ["重复", "duplicate"],
  count_ignored: ["未采用", "ignored"],
  count_rejected: ["未接收", "not accepted"],
  failed_title: ["未被采用的行", "Rows that were not accepted"],
  row: ["行", "Row"],
  event_id: ["编号", "Number"],
  why: ["原因", "Reason"],
  row_ignored: ["未采用", "ignored"],
  row_rejected: ["未接收", "not accepted"],
  row_not_sent: ["未提交", "not sent"],
  row_not_known: ["是否接收尚不确定", "not known whether it was accepted"],
  download_rows: ["下载这些行", "Download these rows"],
  download_reasons: ["下载原因", "Download the reasons"],
  more_failed: ["另有 {} 行，见下载文件。", "{} more are in the download."],
} as const;

/** Translates the page's own words and the shared ones. */
export type Translate = (word: keyof typeof agencyWords | Word, value?: string | number) => string;
