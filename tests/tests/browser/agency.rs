//! The agency's page: one result, a file with rows at fault, and what is left in the browser.

use std::fs;

use serde_json::json;
use yima_schema::time::HOUR;
use yima_tests::{Options, Yima, ago, new_person};

use super::chromium::Window;
use super::{DESK, assert_nothing_kept};

fn signed_in(yima: &Yima) -> Window {
    let desk = Window::open(DESK, &yima.writer_url());
    desk.see("#demo-sign-in:not([hidden])");
    desk.assert_accessible();
    desk.click("#demo-agency");
    desk.see("#work:not([hidden])");
    assert_eq!(desk.text("#who"), "lab-7");
    desk
}

fn choose(desk: &Window, id: &str, value: &str) {
    desk.evaluate(&format!("document.getElementById('{id}').value = '{value}'"));
}

#[test]
fn a_laboratory_sends_one_result_and_is_told_what_is_wrong_beside_the_field() {
    let yima = Yima::start(Options::default());
    let (desk, person) = (signed_in(&yima), new_person());
    desk.type_into("#document-number", "110105199001010000");
    choose(&desk, "occurred-at", "2026-01-02T03:04");
    desk.click("#single button[type='submit']");
    desk.see("#single-status[data-status='rejected']");
    desk.see("#document-number[aria-invalid='true']");
    desk.see("#fault-number:not(:empty)");
    desk.see("#fault-result:not(:empty)");
    desk.assert_accessible();

    desk.evaluate("document.getElementById('document-number').value = ''");
    desk.type_into("#document-number", &person.document);
    choose(&desk, "result", "positive");
    desk.evaluate(&format!(
        "document.getElementById('occurred-at').value = new Date(Date.parse('{}') - new Date().getTimezoneOffset() * 6e4).toISOString().slice(0, 16)",
        ago(HOUR)
    ));
    desk.click("#single button[type='submit']");
    desk.see("#single-status[data-status='accepted']");
    assert_eq!(
        desk.evaluate("document.getElementById('document-number').value"),
        json!(""),
        "nobody stays in the form"
    );
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "red");
    desk.click("#sign-out");
    desk.see("#sign-in:not([hidden])");
    assert_nothing_kept(&desk);
    assert_eq!(desk.text("#who"), "");
}

#[test]
fn a_file_is_sent_row_by_row_and_the_failed_rows_can_be_taken_back() {
    let yima = Yima::start(Options::default());
    let (desk, [one, two]) = (signed_in(&yima), [(); 2].map(|()| new_person()));
    let header = "id,kind,document_type,document_number,occurred_at,test,result,why";
    let row = |id: &str, document: &str, result: &str, why: &str| {
        format!("{id},test_result,cn_resident_id,{document},{},nucleic_acid,{result},{why}", ago(HOUR))
    };
    let good = (0..1_500).map(|n| row(&format!("good-{n}"), &one.document, "negative", ""));
    let bad = row("bad", &two.document, "fine", "");
    // A line break within quotes is part of a value; rows are counted as lines all the same.
    let quoted = row("quoted", &two.document, "positive", "\"two\nlines\"");
    let last = row("last", &two.document, "positive", "");
    let lines: Vec<_> = [header.to_owned()]
        .into_iter()
        .chain(good)
        .chain([bad.clone(), ",,,,,,,".into(), quoted.clone(), last])
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("results.csv");
    fs::write(&file, format!("\u{feff}{}\r\n", lines.join("\r\n"))).expect("a file");
    desk.type_into("#file", file.to_str().expect("a path in UTF-8"));
    desk.see("#upload-status[data-status='accepted']");
    let counts = desk.evaluate("[...document.querySelectorAll('#counts dd')].map(n => n.textContent)");
    assert_eq!(counts, json!(["1501", "0", "0", "2"]));
    let rows = desk.evaluate("[...document.querySelectorAll('#failed-rows tr')].map(row => [row.cells[0].textContent, row.cells[1].textContent])");
    assert_eq!(rows, json!([["1502", "bad"], ["1504", "quoted"]]));
    assert!(desk.text("#failed-rows").contains("/result"), "the column is named");
    desk.assert_accessible();
    desk.picture("agency");
    assert_eq!(yima.shown(&yima.session_of(&two)).0, "red");

    desk.evaluate("URL.createObjectURL = (blob) => { blob.text().then((text) => { document.body.dataset.saved = text; }); return 'blob:'; }");
    desk.click("#download-rows");
    let saved = desk.attribute("body[data-saved]", "data-saved");
    assert_eq!(saved, format!("{header}\n{bad}\n{quoted}\n"));
}

#[test]
fn a_file_that_would_be_misread_is_not_sent_at_all() {
    let yima = Yima::start(Options::default());
    let (desk, person) = (signed_in(&yima), new_person());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("results.csv");
    let row = |id: &str, why: &str| {
        let event = format!("{id},test_result,cn_resident_id,{},{}", person.document, ago(HOUR));
        [event.as_bytes(), b",nucleic_acid,positive,", why.as_bytes(), b"\r\n"].concat()
    };
    let header = b"id,kind,document_type,document_number,occurred_at,test,result,why\r\n".to_vec();
    let file = |rows: &[Vec<u8>]| [&[header.clone()], rows].concat().concat();
    // A Chinese spreadsheet's plain CSV.
    let gbk = file(&[[&row("a", "")[..], b"b,identity,,,,,,\xd5\xc5\xc8\xfd\r\n"].concat()]);
    for (bytes, said) in [
        (b"hello\n".to_vec(), "is not understood"),
        (gbk, "not in UTF-8"),
        (file(&[row("a", ""), row("b", "2\" tube")]), "Line 3: a quotation mark is out of place"),
        (file(&[row("a", ""), row("b", "\"tube\" 2"), row("c", "")]), "Line 3: a quotation mark is out of place"),
        (
            file(&[row("a", "\"two\nlines\""), row("b", "\"tube"), row("c", "")]),
            "Line 4: a quotation mark is never closed",
        ),
        (file(&[row("a", "tube\rtwo")]), "Line 2 ends with a bare CR"),
    ] {
        fs::write(&path, bytes).expect("a file");
        desk.type_into("#file", path.to_str().expect("a path in UTF-8"));
        desk.see_xpath(&format!("//*[@id='upload-status'][@data-status='rejected'][contains(., '{said}')]"));
    }
    let sent = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v1/events')).length";
    assert_eq!(desk.evaluate(sent), json!(0));
    desk.assert_accessible();
}
