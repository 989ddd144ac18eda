//! Lists of spreadsheets on the agency's page: Excel workbooks, encodings, separators, dates, templates, and reasons in
//! the page's language.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use yima_harness::{Options, Person, Yima, new_person};

use super::ENTER;
use super::agency::signed_in;
use super::upload::{SEND, choose_file};
use super::window::Window;

/// Keeps the file that the page saves in `saved`.
const KEEP_SAVED: &str = "void (URL.createObjectURL = (blob) => (window.saved = blob, 'blob:'))";

/// Chooses the file that the page saved last.
const CHOOSE_SAVED: &str = "void ((input, list) => {
    list.items.add(new File([window.saved], 'saved'));
    input.files = list.files;
    input.dispatchEvent(new Event('change'));
})(document.getElementById('file'), new DataTransfer())";

/// Line and reason of each row that is not accepted.
fn reasons(desk: &Window) -> Value {
    desk.evaluate(
        "[...document.querySelectorAll('#failed-rows tr')]
            .map(({ cells }) => [cells[0].textContent, cells[2].lastChild.textContent.trim()])",
    )
}

#[test]
fn a_workbook_with_seven_kinds_of_mistake_is_corrected_until_it_is_clean() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    desk.click("#lang");
    desk.see("html[lang='zh-Hans']");
    let workbook = |version: u8| {
        let path = format!("fixtures/workbooks/results-{version}.xlsx");
        choose_file(&desk, &Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    };

    // Nothing is sent before the clerk has seen what the page understood.
    workbook(1);
    desk.see("#upload-status[data-status='partly']");
    assert_eq!(desk.evaluate("performance.getEntriesByName(`${location.origin}/v1/events`).length"), json!(0));
    let preview = desk.text("#preview");
    let parts = [
        "9 行",
        "工作表：核酸结果",
        "另有 1 个工作表",
        "类型 检测结果",
        "UTC",
        "不提交的列：电话、姓名",
        "→ 编号",
        "→ 核酸检测",
        "→ 2026-11-20 08:30",
        "检测结果 · 阴性",
        "检测结果 · 阳性",
    ];
    for part in parts {
        assert!(preview.contains(part), "{part} in\n{preview}");
    }
    let of_page = json!([
        ["5", "证件号码：不是居民身份证号码：末位校验码与前 17 位不符，可能有一位输错"],
        ["6", "时间：请先写年份，如 2026-11-29：此处分不清日和月"],
        ["7", "证件号码：应为完整号码：表格软件已将它缩短，请将该列设为文本格式后重新输入"],
        ["8", "结果：应为以下之一：阴性、阳性、结果待复核、无效"],
        ["9", "编号：此项必填"],
    ]);
    assert_eq!(reasons(&desk), of_page);
    desk.assert_accessible();
    desk.picture("agency-preview");

    // The rows come back as a workbook, from which the page reads the same.
    desk.evaluate(KEEP_SAVED);
    desk.click("#download-rows");
    desk.until("window.saved !== undefined");
    desk.evaluate(CHOOSE_SAVED);
    desk.see_xpath("//*[@id='preview-title'][contains(., '5 行')]");
    assert_eq!(reasons(&desk).as_array().expect("rows").len(), 5);
    assert_eq!(desk.evaluate("document.getElementById('send-file').disabled"), json!(true));

    // Two mistakes only the service can find.
    workbook(2);
    desk.click(SEND);
    desk.see("#upload-status[data-status='partly']");
    desk.see("#failed:not([hidden])");
    let conflict = "此编号已提交过不同的内容。若是更正，请把更正次数加一；若是另一份记录，请换一个编号";
    assert_eq!(reasons(&desk), json!([["10", "时间：不能是将来的时间"], ["11", conflict]]));
    let person = Person { document: "542301198702150019".into() };
    assert_eq!(yima.display(&yima.session_of(&person)).json(200)["tests"].as_array().expect("tests").len(), 1);
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "green");

    workbook(3);
    desk.click(SEND);
    desk.see("#upload-status[data-status='accepted']");
    let counts = desk.evaluate("[...document.querySelectorAll('#counts dd')].map(n => n.textContent)");
    assert_eq!(counts, json!(["2", "7", "0", "0"]));
    assert_eq!(reasons(&desk), json!([]));

    // It was the wrong file: all of it is taken back.
    desk.click("#sent-rows tr[data-file='results-3.xlsx'] [data-act='take_back']");
    assert!(desk.text("#confirm").contains("results-3.xlsx"));
    desk.type_into("#confirm-why", &format!("文件有误{ENTER}"));
    desk.see("#sent-rows tr[data-file='results-3.xlsx'][data-state='taken_back']");
    assert_eq!(yima.display(&yima.session_of(&person)).json(200)["tests"], json!([]));
    desk.picture("agency-sent-files");
    desk.assert_accessible();
}

/// What GB18030 makes of a list with semicolons; `@` stands for the document's number.
const GB18030: &[u8] = b"\xb1\xe0\xba\xc5;\xd0\xd5\xc3\xfb;\xd6\xa4\xbc\xfe\xc0\xe0\xd0\xcd;\
    \xd6\xa4\xbc\xfe\xba\xc5\xc2\xeb;\xb5\xc7\xbc\xc7\xca\xb1\xbc\xe4\r\n\
    id-1;\xc0\xee\xd0\xa1\xc3\xf7;\xc9\xed\xb7\xdd\xd6\xa4;@;2026/11/20 8:30\r\n";

#[test]
fn lists_of_every_spreadsheet_are_read() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("list.csv");
    let choose = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        choose_file(&desk, &path);
    };
    let utf16 = |text: &str| [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let gb18030 = |document: &str| {
        let parts: Vec<_> = GB18030.split(|byte| *byte == b'@').collect();
        parts.join(document.as_bytes())
    };
    let list = |document: &str, separator: &str, date: &str| {
        let rows = [["Number", "Name", "Document number", "Registered at"], ["id-1", "李小明", document, date]];
        rows.map(|row| row.join(separator)).join("\r\n")
    };
    type List<'a> = (&'a str, Box<dyn Fn(&str) -> Vec<u8> + 'a>);
    let lists: [List<'_>; 4] = [
        ("GB18030", Box::new(gb18030)),
        ("UTF-16LE", Box::new(|document| utf16(&list(document, "\t", "20.11.2026 8:30")))),
        ("", Box::new(|document| format!("sep=;\r\n{}", list(document, ";", "11/20/2026 8:30")).into())),
        ("", Box::new(|document| format!("\u{feff}{}", list(document, ",", "2026年11月20日")).into())),
    ];
    for (encoding, list) in lists {
        let person = new_person();
        choose(&list(&person.document));
        desk.see("#preview:not([hidden])");
        let preview = desk.text("#preview");
        for part in [encoding, "李小明", "2026-11-20", "Identity"] {
            assert!(preview.contains(part), "{part} in\n{preview}");
        }
        desk.click(SEND);
        desk.see("#upload-status[data-status='accepted']");
        let shown = yima.display(&yima.session_of(&person)).json(200);
        assert!(shown["identity"]["name"].as_str().expect("a name").starts_with('李'), "{encoding}");
    }

    // What would be a formula in a spreadsheet is none in a download, and is read back as it was.
    let formula = "=HYPERLINK(\"\"http://example.org\"\")";
    choose(format!("id,kind,document_number,occurred_at,event_id,why\nx,retraction,1,,y,\"{formula}\"\n").as_bytes());
    desk.see("#failed:not([hidden])");
    desk.evaluate(KEEP_SAVED);
    desk.click("#download-rows");
    let saved = "saved.text()";
    assert!(desk.evaluate(saved).as_str().expect("a text").contains(&format!(",\"'{formula}\"")));
    desk.evaluate(CHOOSE_SAVED);
    desk.see("#failed:not([hidden])");
    assert!(desk.text("#preview-table").contains("=HYPERLINK"));
    assert!(!desk.text("#preview-table").contains("'=HYPERLINK"));
    desk.click("#download-reasons");
    assert!(desk.evaluate(saved).as_str().expect("a text").contains("Document number: not a resident identity number"));
    desk.click("#discard-file");

    // The page knows the columns of its own templates, in both languages.
    for lang in ["zh-Hans", "en"] {
        desk.click("#lang");
        desk.see(&format!("html[lang='{lang}']"));
        desk.evaluate("void (document.getElementById('template').open = true)");
        for kind in ["test_result", "vaccination", "identity", "colour_assignment", "retraction"] {
            let select = format!("document.getElementById('template-kind').value = '{kind}'");
            desk.evaluate(&format!("void (delete window.saved, {select})"));
            desk.click("#template-csv");
            desk.until("window.saved !== undefined");
            let with_row = "new Blob([`${text}x${text.replace(/[^,]/g, '')}`])";
            desk.evaluate(&format!("saved.text().then((text) => void (saved = {with_row}))"));
            desk.evaluate(CHOOSE_SAVED);
            desk.see("#preview:not([hidden])");
            desk.until("document.querySelectorAll('#preview-table tbody tr').length === 1");
            let columns = "[...document.querySelectorAll('#preview-table tr:nth-child(2) th')].slice(1)";
            let columns = desk.evaluate(&format!("{columns}.map((th) => th.textContent)"));
            let columns: Vec<String> = serde_json::from_value(columns).expect("texts");
            assert!(columns.len() >= 5 && columns.iter().all(|column| column.starts_with('→')), "{kind}: {columns:?}");
            let revision = if lang == "en" { "Correction" } else { "更正次数" };
            assert!(columns.iter().any(|column| column.contains(revision)), "{kind}: {columns:?}");
            desk.click("#discard-file");
        }
        desk.evaluate("void delete window.saved");
        desk.click("#template-xlsx");
        desk.until("window.saved !== undefined");
        desk.evaluate(CHOOSE_SAVED);
        // It was understood, and has no rows yet.
        desk.see_xpath("//*[@id='upload-status'][contains(., '至少一行') or contains(., 'at least one')]");
    }
    desk.picture("agency-template");
    // A few kilobytes that expand to more than a list can have.
    desk.evaluate(
        "import('/assets/xlsx.js').then(({ writeWorkbook }) => {
            window.saved = new Blob([writeWorkbook([{ name: 'a', rows: [['x'.repeat(81e6)]] }])]);
        })",
    );
    assert!(desk.evaluate("saved.size").as_u64().expect("bytes") < 1_000_000);
    desk.evaluate(CHOOSE_SAVED);
    desk.see_xpath("//*[@id='upload-status'][@data-status='rejected'][contains(., 'too large')]");
    let own = |entry: &&Value| !entry.to_string().contains("blob:");
    assert_eq!(desk.console().iter().filter(own).count(), 0, "the page's policy allows all that it loads");
}
