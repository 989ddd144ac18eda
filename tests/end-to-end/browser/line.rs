//! Who waits in line sees place and time, and the page goes on by itself.

use std::fs;

use serde_json::json;
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use super::PHONE;
use super::agency::signed_in;
use super::live_display::replace_fetch;
use super::upload::{SEND, choose_file};
use super::window::Window;

/// The page's first request to `path` finds 1,240 others before it; what tickets it sends is kept.
fn make_wait(page: &Window, path: &str) {
    replace_fetch(
        page,
        &format!(
            "if (path !== '{path}') return asks(path, init);
             window.tickets = [...(window.tickets ?? []), init.headers.get('yima-ticket')];
             if (tickets.length > 1) return asks(path, init);
             const waiting = {{ ticket: 'AAvy', place: 1240, expected_at: new Date(Date.now() + 3000).toISOString() }};
             const type = 'https://yima.dev/problems/waiting';
             const headers = {{ 'content-type': 'application/problem+json', 'retry-after': '3' }};
             return new Response(JSON.stringify({{ type, status: 503, waiting }}), {{ status: 503, headers }})"
        ),
    );
}

#[test]
fn a_person_in_line_sees_the_place_and_is_then_signed_in() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    make_wait(&phone, "/v1/sessions");
    phone.click("button[data-person='0']");
    phone.see_xpath("//*[@id='line'][not(@hidden)][contains(., '1240') and contains(., 'in ') and contains(., ' s')]");
    phone.assert_accessible();
    phone.see("#colour[data-colour='green']");
    phone.see("#line[hidden]");
    assert_eq!(phone.evaluate("tickets"), json!([null, "AAvy"]));
}

#[test]
fn an_upload_in_line_shows_the_place_and_is_then_sent() {
    let yima = Yima::start(Options::default());
    let (desk, person) = (signed_in(&yima), new_person());
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("results.csv");
    let header = "id,kind,document_type,document_number,occurred_at,test,result";
    let row = format!("line-1,test_result,cn_resident_id,{},{},nucleic_acid,negative", person.document, ago(HOUR));
    fs::write(&file, format!("{header}\r\n{row}\r\n")).expect("a file");
    make_wait(&desk, "/v1/events");
    desk.click("#guide-close");
    choose_file(&desk, &file);
    desk.click(SEND);
    desk.see_xpath("//*[@id='upload-status'][contains(., '1240')]");
    desk.see_xpath("//*[@id='counts']//dd[1][.='1']");
    assert_eq!(desk.evaluate("tickets"), json!([null, "AAvy"]));
}
