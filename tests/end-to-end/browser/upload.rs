//! The agency's page uploads a file: rejected rows, answers that do not match the rows, and
//! tokens that expire meanwhile.

use std::fs;
use std::path::Path;

use serde_json::json;
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use super::agency::signed_in;
use super::window::Window;
use super::{ENTER, assert_fits, assert_storage_empty};

/// The button that sends the file shown.
pub(super) const SEND: &str = "#send-file:enabled";

/// Chooses a file, which exists until the page has read it.
pub(super) fn choose_file(desk: &Window, path: &Path) {
    desk.type_into("#file", path.to_str().expect("a path in UTF-8"));
    desk.until("!/^(|Reading…|正在读取…)$/.test(document.getElementById('upload-status').textContent)");
}

#[test]
fn a_file_is_sent_row_by_row_and_the_rows_not_accepted_can_be_downloaded() {
    let yima = Yima::start(Options::default());
    let (desk, [one, two, three]) = (signed_in(&yima), [(); 3].map(|()| new_person()));
    let header = "id,kind,document_type,document_number,occurred_at,test,result,vaccine,why";
    let row = |id: &str, document: &str, result: &str, why: &str| {
        format!("{id},test_result,cn_resident_id,{document},{},nucleic_acid,{result},,{why}", ago(HOUR))
    };
    let influenza = format!("influenza,vaccination,cn_resident_id,{},{},,,88,", two.document, ago(HOUR));
    // One agency may send up to 1,000 events of a person.
    let tested = |n: usize| if n.is_multiple_of(2) { &one.document } else { &three.document };
    let good = (0..1_500).map(|n| row(&format!("good-{n}"), tested(n), "negative", ""));
    let bad = row("bad", &two.document, "negative", "").replace("nucleic_acid", "antibody");
    // A line break within quotes is part of a value; rows are numbered by line all the same.
    let quoted = row("quoted", &two.document, "positive", "\"two\nlines\"");
    let last = row("last", &two.document, "positive", "");
    let lines: Vec<_> = [header.to_owned()]
        .into_iter()
        .chain(good)
        .chain([bad.clone(), "\u{3000},,,,\"\u{a0}\",,,,".into(), quoted.clone(), influenza.clone(), last])
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("results.csv");
    fs::write(&file, format!("\u{feff}{}\r\n", lines.join("\r\n"))).expect("a file");
    desk.click("#guide-close");
    choose_file(&desk, &file);
    // Three results of one agency are counted before they are sent.
    assert!(desk.text("#preview-counts").contains("Test result · positive"));
    desk.click(SEND);
    desk.see_xpath("//*[@id='upload-status'][@data-status='partly'][contains(., '3 rows not accepted')]");
    let counts = desk.evaluate("[...document.querySelectorAll('#counts dd')].map(n => n.textContent)");
    assert_eq!(counts, json!(["1501", "0", "1", "1", "1"]));
    let rows = desk.evaluate(
        "[...document.querySelectorAll('#failed-rows tr')]
            .map(row => [row.cells[0].textContent, row.cells[1].textContent, row.dataset.status])",
    );
    let not_accepted = [["1502", "bad", "not_sent"], ["1504", "quoted", "rejected"], ["1506", "influenza", "ignored"]];
    assert_eq!(rows, json!(not_accepted));
    assert!(desk.text("#failed-rows tr[data-status='ignored']").contains("not a COVID-19 vaccine"), "with its reason");
    assert!(desk.text("#failed-rows").contains("Test: expected one of Nucleic acid, "), "column and words of the page");
    desk.assert_accessible();
    desk.evaluate("scrollTo(0, 0)");
    desk.picture("agency");
    // On a narrow screen no heading breaks within a word, and nothing makes the page wider.
    let narrow = json!({ "width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    desk.devtools("Emulation.setDeviceMetricsOverride", narrow);
    let lines = "[...document.querySelectorAll('#failed th, #sent-table th:not(:last-child)')].map((th) => {
        const range = document.createRange();
        range.selectNodeContents(th);
        return new Set([...range.getClientRects()].map(({ top }) => top)).size;
    })";
    assert_eq!(desk.evaluate(&format!("Math.max(...{lines})")), json!(1));
    assert_fits(&desk);
    desk.picture("agency-narrow");
    let small = json!({ "width": 320, "height": 568, "deviceScaleFactor": 1, "mobile": false });
    desk.devtools("Emulation.setDeviceMetricsOverride", small);
    desk.until("innerWidth === 320");
    desk.evaluate("void (document.documentElement.style.fontSize = '200%')");
    assert_fits(&desk);
    desk.picture("agency-type-200");
    desk.evaluate("void document.documentElement.style.removeProperty('font-size')");
    desk.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    assert_eq!(yima.shown(&yima.session_of(&two)).0, "red");

    desk.evaluate(
        "URL.createObjectURL = (blob) => {
            blob.text().then((text) => { document.body.dataset.saved = text; });
            return 'blob:';
        }",
    );
    desk.click("#download-rows");
    let saved = desk.attribute("body[data-saved]", "data-saved");
    assert_eq!(saved, format!("{header}\n{bad}\n{quoted}\n{influenza}\n"));
}

#[test]
fn a_file_that_would_be_misread_is_not_sent() {
    let yima = Yima::start(Options::default());
    let (desk, person) = (signed_in(&yima), new_person());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("results.csv");
    let row = |id: &str, why: &str| {
        let event = format!("{id},test_result,cn_resident_id,{},{}", person.document, ago(HOUR));
        [event.as_bytes(), b",nucleic_acid,positive,", why.as_bytes(), b"\r\n"].concat()
    };
    let header = b"id,kind,document_type,document_number,occurred_at,test,result,why\r\n".to_vec();
    let file = |rows: &[Vec<u8>]| [std::slice::from_ref(&header), rows].concat().concat();
    for (bytes, problem) in [
        (b"hello\n".to_vec(), "is not understood"),
        (b"id,kind\n\x81\x20,\n".to_vec(), "encoding of this file is not recognized"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "old .xls file"),
        (b"PK\x03\x04".to_vec(), "may be damaged"),
        (b"one,two\n1,2\n".to_vec(), "No column names are recognized"),
        (b"id,result,time\n1,2,3\n".to_vec(), "Columns are missing: Document number"),
        (b"id,result,Sample number\n1,2,3\n".to_vec(), "More than one column is for: Number"),
        (file(&[row("a", ""), row("b", "2\" tube")]), "Line 3: a quotation mark is out of place"),
        (file(&[row("a", ""), row("b", "\"tube\" 2"), row("c", "")]), "Line 3: a quotation mark is out of place"),
        (
            file(&[row("a", "\"two\nlines\""), row("b", "\"tube"), row("c", "")]),
            "Line 4: a quotation mark is never closed",
        ),
        (file(&[row("a", "tube\rtwo")]), "Line 2 ends with a bare CR"),
    ] {
        fs::write(&path, bytes).expect("a file");
        choose_file(&desk, &path);
        desk.see_xpath(&format!("//*[@id='upload-status'][@data-status='rejected'][contains(., '{problem}')]"));
    }
    let sent = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v1/events')).length";
    assert_eq!(desk.evaluate(sent), json!(0));
    desk.assert_accessible();
}

const HEADER: &str = "id,kind,document_type,document_number,occurred_at,test,result";

/// Chooses and sends a file with this number of valid rows about a new person.
fn choose_rows(desk: &Window, rows: usize) {
    let (directory, person) = (tempfile::tempdir().expect("a directory"), new_person());
    let time = ago(HOUR);
    let row = |n| format!("r-{n},test_result,cn_resident_id,{},{time},nucleic_acid,negative\n", person.document);
    let path = directory.path().join("rows.csv");
    fs::write(&path, format!("{HEADER}\n{}", (0..rows).map(row).collect::<String>())).expect("a file");
    choose_file(desk, &path);
    desk.click(SEND);
}

/// Replaces the answers to events by an expression of `init` and the number `n` of the request.
fn replace_answers(desk: &Window, expression: &str) {
    desk.evaluate(&format!(
        "void (window.asks ??= fetch, window.sent = 0, window.fetch = async (path, init) => {{
            if (path !== '/v1/events') return asks(path, init);
            const n = ++sent;
            return {expression};
        }})"
    ));
}

fn statuses(desk: &Window) -> serde_json::Value {
    desk.evaluate(
        "Object.entries(Object.groupBy(document.querySelectorAll('#failed-rows tr'), (row) => row.dataset.status))
            .map(([status, rows]) => [status, rows.length, rows[0].cells[0].textContent])",
    )
}

#[test]
fn answers_are_matched_by_row_number_or_not_at_all() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    // The order of the answers does not matter.
    replace_answers(
        &desk,
        "new Response((await (await asks(path, init)).text()).trimEnd().split('\\n').reverse().join('\\n'))",
    );
    choose_rows(&desk, 3);
    desk.see("#upload-status[data-status='accepted']");
    for unfit in [
        "text.replace('\"row\":2', '\"row\":9')",
        "text.split('\\n').slice(1).join('\\n')",
        "text + text.replaceAll('\"row\":', '\"row\":9')",
        "'<html>'",
    ] {
        replace_answers(
            &desk,
            &format!(
                "n === 1 ? asks(path, init)
                    : asks(path, init).then((one) => one.text()).then((text) => new Response({unfit}))"
            ),
        );
        choose_rows(&desk, 2_100);
        desk.see_xpath("//*[@id='upload-status'][@data-status='rejected'][contains(., 'does not match')]");
        assert_eq!(
            desk.evaluate("[sent, document.getElementById('more-failed').textContent]"),
            json!([2, "900 more are in the download."]),
            "{unfit}"
        );
        assert_eq!(statuses(&desk), json!([["not_known", 200, "1002"]]));
    }
}

#[test]
fn a_balancers_refusal_ends_the_upload_and_every_row_can_be_downloaded() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    replace_answers(&desk, "new Response('<html>', { status: n === 1 ? 502 : 413, headers: { 'retry-after': '0' } })");
    choose_rows(&desk, 200_000);
    desk.see_xpath("//*[@id='upload-status'][@data-status='rejected'][contains(., '413')]");
    assert_eq!(desk.evaluate("sent"), json!(2), "only a transient refusal is retried");
    // The 502 leaves unknown whether the rows were accepted.
    assert_eq!(statuses(&desk), json!([["not_known", 200, "2"]]));
    assert_eq!(desk.text("#more-failed"), "199800 more are in the download.");
    replace_answers(&desk, "new Response('<html>', { status: 413 })");
    choose_rows(&desk, 10);
    desk.see_xpath("//*[@id='failed-rows'][count(tr) = 10]");
    assert_eq!(statuses(&desk), json!([["not_sent", 10, "2"]]));
}

#[test]
fn the_report_stays_when_the_token_expires_during_the_upload() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    replace_answers(&desk, "n === 1 ? asks(path, init) : new Response('', { status: 401 })");
    choose_rows(&desk, 1_010);
    desk.see("#sign-in:not([hidden]) #notice:not(:empty)");
    desk.see("#upload #upload-status[data-status='rejected']");
    assert_eq!(statuses(&desk), json!([["not_sent", 10, "1002"]]));
    assert!(desk.text("#counts").contains("1000"));
    desk.assert_accessible();
    desk.type_into("#token", &format!("{}{ENTER}", yima.agency_token("lab-7")));
    desk.see("#choose:not([hidden])");
    desk.see("#guide[hidden]");
    assert_eq!(statuses(&desk), json!([["not_sent", 10, "1002"]]));
    desk.click("#sign-out");
    desk.see("#sign-in:focus");
    assert_eq!(statuses(&desk), json!([]));
    assert_storage_empty(&desk);
}

#[test]
fn neither_another_file_nor_a_closed_tab_takes_the_place_of_an_upload_unasked() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    replace_answers(&desk, "(n === 2 && await new Promise((done) => window.go_on = done), asks(path, init))");
    let asks = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))";
    assert_eq!(desk.evaluate(asks), json!(false));
    choose_rows(&desk, 1_010);
    desk.until("sent === 2");
    desk.see("#choose[hidden]");
    assert_eq!(desk.evaluate(asks), json!(true));
    desk.evaluate("void go_on()");
    desk.see("#choose:not([hidden])");
    assert_eq!(desk.evaluate(asks), json!(false));
    // An agency may send 1,000 events of one person.
    assert!(desk.text("#sent-rows tr[data-file='rows.csv']").contains("1000 rows"));
}

#[test]
fn only_the_last_chosen_file_is_sent() {
    let yima = Yima::start(Options::default());
    let desk = signed_in(&yima);
    replace_answers(&desk, "asks(path, init)");
    desk.evaluate(
        "void (window.reads = File.prototype.arrayBuffer, File.prototype.arrayBuffer = function () {
            File.prototype.arrayBuffer = reads;
            return new Promise((done) => window.release = done).then(() => reads.call(this));
        })",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("first.csv");
    fs::write(&path, format!("{HEADER}\nfirst,,,,,,\n")).expect("a file");
    desk.type_into("#file", path.to_str().expect("a path in UTF-8"));
    choose_rows(&desk, 2);
    desk.see("#upload-status[data-status='accepted']");
    // Gives the first file time to be read and sent, if it were.
    assert_eq!(desk.evaluate("(release(), new Promise((done) => setTimeout(() => done(sent), 200)))"), json!(1));
    desk.see("#upload-status[data-status='accepted']");
}
