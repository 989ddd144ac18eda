//! The agency's page: the form for one result, refused tokens, and what the browser keeps.

use serde_json::json;
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use super::window::Window;
use super::{DESK, ENTER, assert_storage_empty};

pub(super) fn signed_in(yima: &Yima) -> Window {
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
fn a_form_with_errors_shows_each_beside_its_field_and_a_corrected_one_is_accepted() {
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
        "document.getElementById('occurred-at').value =
            new Date(Date.parse('{}') - new Date().getTimezoneOffset() * 6e4).toISOString().slice(0, 16)",
        ago(HOUR)
    ));
    desk.click("#single button[type='submit']");
    desk.see("#single-status[data-status='accepted']");
    assert_eq!(
        desk.evaluate("document.getElementById('document-number').value"),
        json!(""),
        "the form keeps no document number"
    );
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "red");
    desk.click("#sign-out");
    desk.see("#sign-in:not([hidden])");
    assert_storage_empty(&desk);
    assert_eq!(desk.text("#who"), "");
}

#[test]
fn a_refused_result_stays_in_the_form_for_the_same_agencys_next_token() {
    let yima = Yima::start(Options::default());
    let desk = Window::open(DESK, &yima.writer_url());
    let sign_in = |token: &str| desk.type_into("#token", &format!("{token}{ENTER}"));
    let number = || desk.evaluate("document.getElementById('document-number').value");
    // A checkpoint's token may not send events. The page says so and keeps the typed text.
    sign_in(&yima.token(&["checkpoint"]));
    desk.type_into("#document-number", "1");
    desk.click("#single button[type='submit']");
    desk.see("#single-status[data-status='rejected']:not(:empty)");
    assert_eq!(number(), json!("1"));
    desk.click("#sign-out");
    desk.see("#sign-in:focus");
    sign_in(&yima.agency_token("lab-7"));
    assert_eq!(number(), json!(""));
    desk.type_into("#document-number", "2");
    let refuse_events = "void (window.asks ??= fetch, window.fetch = async (path, init) =>
        path === '/v1/events' ? new Response('', { status: 401 }) : asks(path, init))";
    desk.evaluate(refuse_events);
    desk.click("#single button[type='submit']");
    desk.see("#sign-in:focus #notice:not(:empty)");
    desk.evaluate("void (window.fetch = asks)");
    sign_in(&yima.agency_token("lab-7"));
    desk.see("#single-card:not([hidden])");
    assert_eq!(number(), json!("2"));
    // Another agency finds an empty form.
    desk.evaluate(refuse_events);
    desk.click("#single button[type='submit']");
    desk.see("#sign-in:not([hidden])");
    sign_in(&yima.agency_token("lab-8"));
    desk.see("#single-card:not([hidden])");
    assert_eq!(number(), json!(""));
}
