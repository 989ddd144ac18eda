import type { Word } from "../shared/i18n.ts";

/** The texts of the agency's page alone: [Chinese, English]. `{}` is replaced by one value. */
export const agencyWords = {
  agency: ["检测机构", "Agency"],
  agency_note: ["演示：以实验室 lab-7 的身份登录。", "Demo: sign in as the laboratory lab-7."],
  agency_sign_in: ["以 lab-7 登录", "Sign in as lab-7"],
  single_title: ["提交一份检测结果", "Send one result"],
  event_id: ["结果编号", "Result number"],
  document_local: ["本机构编号", "The agency's own number"],
  test: ["检测项目", "Test"],
  result: ["结果", "Result"],
  choose: ["请选择", "Choose"],
  sampled_at: ["采样时间（本地时间）", "Sampled at (local time)"],
  send: ["提交", "Send"],
  sending: ["正在提交…", "Sending…"],
  status_accepted: ["已接收，已生效。", "Accepted, and in force."],
  status_duplicate: ["之前已接收过，未作更改。", "Already accepted before; nothing was changed."],
  status_ignored: ["与健康码无关，未采用：{}", "Not used, because it does not concern health codes: {}"],
  status_rejected: ["未接收：{}", "Not accepted: {}"],
  status_busy: ["系统繁忙，请 {} 秒后重试。", "The service is busy. Try again in {} s."],
  status_unreachable: [
    "无法连接。是否接收尚不确定；可原样重试，不会重复。",
    "No answer came, so it is not known whether the result was accepted. Send it again unchanged: it is never " +
      "counted twice.",
  ],
  upload_title: ["上传文件", "Upload a file"],
  upload_note: [
    "CSV（首行为列名）、每行一个事件的 JSON，或每行一个资源的 FHIR R4；UTF-8 编码，最多 100 MB。",
    "CSV with column names in the first line, one JSON event a line, or one FHIR R4 resource a line; UTF-8, up " +
      "to 100 MB.",
  ],
  file: ["文件", "File"],
  not_a_file: [
    "无法识别此文件：需要 CSV 或每行一个 JSON 的文件。",
    "This file is not understood: it must be CSV, or have one JSON document a line.",
  ],
  not_utf8: [
    "此文件不是 UTF-8 编码，姓名会变成乱码；未提交任何内容。请在电子表格中另存为“CSV UTF-8”。",
    "This file is not in UTF-8, so names in it would be destroyed; nothing was sent. Save it as \"CSV UTF-8\".",
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
  stop: ["停止", "Stop"],
  stopped: ["已停止；未提交的行在下方列出。", "Stopped. Rows that were not sent are listed below."],
  finished: ["已完成。", "Finished."],
  finished_partly: ["已完成，{} 行未被采用，见下。", "Finished, {} rows not accepted: see below."],
  answer_mismatch: [
    "系统的答复与所提交的行不符，已停止。状态不明的行见下；可再次提交，不会重复。",
    "The answer does not match the rows that were sent, so the upload has stopped. Rows whose outcome is not " +
      "known are listed below; sent again, they are not counted twice.",
  ],
  count_accepted: ["已接收", "accepted"],
  count_duplicate: ["重复", "duplicate"],
  count_ignored: ["未采用", "ignored"],
  count_rejected: ["未接收", "not accepted"],
  failed_title: ["未被采用的行", "Rows that were not accepted"],
  row: ["行", "Row"],
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
