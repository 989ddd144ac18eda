//! The agency's page: events of every kind by form, the question before each, corrections and retractions, refused
//! tokens, and what the browser keeps.

use serde_json::json;
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use super::window::Window;
use super::{DESK, ENTER, assert_storage_empty};

const TAB: &str = "\u{e004}";
const DOWN: &str = "\u{e015}";
const ESCAPE: &str = "\u{e00c}";

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
    desk.evaluate(&format!(
        "void ((field) => {{ field.value = '{value}'; field.dispatchEvent(new Event('change')); }})
            (document.getElementById('{id}'))"
    ));
}

/// A time of an hour ago, as a clerk types it.
fn an_hour_ago(desk: &Window) -> String {
    let text = desk.evaluate(&format!(
        "((time) => new Date(time - new Date(time).getTimezoneOffset() * 6e4).toISOString())(Date.parse('{}'))
            .slice(0, 16).replace('T', ' ')",
        ago(HOUR)
    ));
    text.as_str().expect("a text").to_owned()
}

fn value(desk: &Window, id: &str) -> serde_json::Value {
    desk.evaluate(&format!("document.getElementById('{id}').value"))
}

fn focused(desk: &Window) -> serde_json::Value {
    desk.evaluate("document.activeElement.id")
}

#[test]
fn a_wrong_positive_is_asked_about_then_corrected_or_taken_back() {
    let yima = Yima::start(Options::default());
    let (desk, person) = (signed_in(&yima), new_person());
    let session = yima.session_of(&person);
    let code = || yima.shown(&session).0;
    // The guide is open at first, and one key away later.
    desk.see("#guide:not([hidden])");
    desk.picture("agency-guide");
    desk.click("#guide-close");
    desk.see("#guide-open:focus");
    // Each field with an error says so, before anything is asked or sent. An empty time does not look filled in.
    assert_eq!(value(&desk, "occurred-at"), json!(""));
    desk.type_into("#document-number", "110105199001010000");
    desk.type_into("#occurred-at", "05/06/2026 8:30");
    desk.click("#single button[type='submit']");
    desk.see("#single-status[data-status='rejected']");
    desk.see("#document-number[aria-invalid='true']:focus");
    for name in ["document_number", "result", "occurred_at"] {
        desk.see(&format!("#fault-{name}:not(:empty)"));
    }
    assert!(desk.text("#fault-occurred_at").contains("cannot be told apart"));
    desk.assert_accessible();
    desk.picture("agency-form");

    // The question repeats person and content. Enter, typed once too often, does not send.
    desk.evaluate("['document-number', 'occurred-at'].forEach((id) => document.getElementById(id).value = '')");
    desk.type_into("#document-number", &person.document);
    choose(&desk, "result", "positive");
    let time = an_hour_ago(&desk);
    desk.type_into("#occurred-at", &format!("{time}{ENTER}"));
    desk.see("#confirm[open]");
    assert_eq!(focused(&desk), json!("confirm-back"));
    let question = desk.text("#confirm");
    for part in ["positive", &time, &person.document[..6], &person.document[14..], "born 19", "at once"] {
        assert!(question.contains(part), "{part} in {question}");
    }
    desk.assert_accessible();
    desk.picture("agency-confirm");
    desk.type_into(":focus", ENTER);
    desk.see("#confirm:not([open])");
    assert_eq!(desk.evaluate("document.querySelectorAll('#sent-rows tr').length"), json!(0));
    assert_eq!(code(), "none");
    desk.click("#single button[type='submit']");
    desk.click("#confirm-send");
    desk.see("#single-status[data-status='accepted']");
    let bottom = "document.getElementById('single-status').getBoundingClientRect().bottom - innerHeight";
    assert!(desk.evaluate(bottom).as_f64().is_some_and(|below| below < 1.0), "the answer is out of sight");
    assert_eq!(value(&desk, "document-number"), json!(""), "the form keeps no document number");
    assert_eq!(code(), "red");

    // Corrected from the list: it was negative.
    desk.see_xpath(&format!("//*[@id='sent-rows']/tr[@data-state='in_force'][contains(., '{}')]", person.document));
    desk.click("#sent-rows [data-act='correct']");
    desk.see("#correcting:not([hidden])");
    assert_eq!(desk.evaluate("document.getElementById('document-number').disabled"), json!(true));
    choose(&desk, "result", "negative");
    desk.click("#single button[type='submit']");
    desk.see("#confirm-send:focus");
    desk.click("#confirm-send");
    desk.see("#sent-rows tr[data-state='corrected']:only-child");
    assert_eq!(code(), "green");

    // Positive after all, and then taken back: with a reason, while the form keeps what is being typed.
    desk.click("#sent-rows [data-act='correct']");
    choose(&desk, "result", "positive");
    desk.click("#single button[type='submit']");
    desk.click("#confirm-send");
    desk.see_xpath("//*[@id='sent-rows']/tr[contains(., 'corrected (2)')]");
    assert_eq!(code(), "red");
    desk.type_into("#document-number", "half a num");
    let list = "document.getElementById('sent-table')";
    assert_eq!(desk.evaluate(&format!("{list}.scrollWidth <= {list}.clientWidth")), json!(true));
    desk.picture("agency-sent");
    desk.assert_accessible();
    desk.click("#sent-rows [data-act='take_back']");
    desk.type_into("#confirm-why", ENTER);
    desk.see("#confirm[open] #confirm-why-fault:not(:empty)");
    desk.type_into("#confirm-why", &format!("samples mixed up{ENTER}"));
    desk.see("#sent-rows tr[data-state='taken_back']:only-child");
    assert_eq!(desk.evaluate("document.querySelectorAll('#sent-rows button').length"), json!(0));
    assert_eq!(value(&desk, "document-number"), json!("half a num"));
    assert_eq!(code(), "green");

    // A number that was sent with other content: the page offers to make a correction of it.
    let send = |result: &str| {
        desk.evaluate(
            "['document-number', 'occurred-at', 'id'].forEach((id) => document.getElementById(id).value = '')",
        );
        desk.type_into("#id", "S-1");
        desk.type_into("#document-number", &person.document);
        choose(&desk, "result", result);
        desk.type_into("#occurred-at", &format!("{time}{ENTER}"));
        desk.click("#confirm-send");
    };
    send("positive");
    desk.see("#sent-rows tr[data-id='S-1'][data-state='in_force']");
    send("negative");
    desk.see("#revision-field:not([hidden]) #revision:focus");
    assert_eq!(value(&desk, "revision"), json!("1"));
    assert_eq!(code(), "red");
    desk.type_into("#revision", ENTER);
    desk.click("#confirm-send");
    desk.see("#sent-rows tr[data-id='S-1'][data-state='corrected']");
    assert_eq!(code(), "green");
    // What gets the focus is not scrolled under the headings.
    let focus_in_a_low_list = "((list, button) => {
        list.style.maxHeight = '6rem';
        list.scrollTop = list.scrollHeight;
        button.focus();
        const hidden = list.querySelector('th').getBoundingClientRect().bottom - button.getBoundingClientRect().top;
        list.style.maxHeight = '';
        return hidden <= 0;
    })(document.getElementById('sent-table'), document.querySelector('#sent-rows button'))";
    assert_eq!(desk.evaluate(focus_in_a_low_list), json!(true));

    // A reload stays signed in. What was sent is on the page only, and nothing stays after signing out.
    desk.reload();
    desk.see("#work:not([hidden]) #sent-none:not([hidden])");
    desk.see("#guide[hidden]");
    assert_eq!(desk.text("#who"), "lab-7");
    // An event is then taken back by its number.
    choose(&desk, "kind", "retraction");
    desk.type_into("#document-number", &person.document);
    desk.type_into("#event-id", "S-1");
    desk.type_into("#why", &format!("samples mixed up{ENTER}"));
    desk.click("#confirm-send");
    desk.see("#single-status[data-status='accepted']");
    assert_eq!(yima.display(&session).json(200)["tests"], json!([]));
    let kept = "Object.entries(sessionStorage).flat().filter((text) => text.includes('web-')).length";
    assert_eq!(desk.evaluate(kept), json!(0));
    // Leaves what was typed to the browser, which keeps the whole page for "Back".
    desk.type_into("#document-number", &person.document);
    desk.evaluate("addEventListener('pageshow', ({ persisted }) => void (sessionStorage.kept = persisted))");
    desk.go_to(&yima.read_url());
    desk.go_to(&yima.writer_url());
    desk.click("#sign-out");
    desk.see("#sign-in:not([hidden])");
    assert_storage_empty(&desk);
    assert_eq!(desk.text("#who"), "");
    desk.evaluate("history.go(-2)");
    desk.until("sessionStorage.kept === 'true'");
    desk.see("#demo-sign-in:not([hidden])");
    desk.see("#work[hidden]");
    assert_eq!((value(&desk, "document-number"), desk.text("#who")), (json!(""), String::new()));
}

#[test]
fn every_kind_of_event_is_sent_by_keyboard_in_chinese_and_a_missing_right_is_explained() {
    let options = Options::default();
    let path = options.directory().join("agencies.toml");
    let registry = "[[agencies]]\nname = \"lab-7\"\nkinds = [\"test_result\", \"vaccination\", \"identity\"]\n";
    std::fs::write(&path, registry).expect("the directory can be written");
    let yima = Yima::start(options.env("YIMA_WRITER__AGENCIES_FILE", path.display()));
    let (desk, person) = (signed_in(&yima), new_person());
    desk.click("#lang");
    desk.see("html[lang='zh-Hans']");
    let time = an_hour_ago(&desk);
    // Chooses the kind, types each value into the next field, confirms and waits for the answer.
    let send = |kind: &str, values: &[&str], status: &str| {
        choose(&desk, "kind", kind);
        desk.evaluate("void document.getElementById('document-number').focus()");
        desk.type_into(":focus", &person.document);
        for value in values {
            desk.type_into(":focus", TAB);
            desk.type_into(":focus", value);
        }
        desk.type_into(":focus", ENTER);
        desk.see("#confirm[open]");
        let confirm = if focused(&desk) == json!("confirm-back") { format!("{TAB}{ENTER}") } else { ENTER.to_owned() };
        desk.type_into(":focus", &confirm);
        desk.see(&format!("#single-status[data-status='{status}']"));
    };
    let replace = format!("\u{e009}a\u{e000}{time}");
    send("test_result", &["", DOWN, &time], "accepted");
    send("vaccination", &["510", "1", &time], "accepted");
    send("identity", &["李小明", "", "", &replace], "accepted");
    let shown = yima.display(&yima.session_of(&person)).json(200);
    assert_eq!(shown["vaccination"]["doses"], 1);
    assert_eq!(shown["tests"][0]["result"], "negative");
    assert!(shown["identity"]["name"].as_str().expect("a name").starts_with('李'));
    // The agency may not decide on colours: the service's reason, in the page's language.
    send("colour_assignment", &[&DOWN.repeat(3), &DOWN.repeat(2), &time], "rejected");
    let reason = desk.text("#fault-kind");
    assert_eq!(reason, "本机构可提交的类型只有：检测结果、疫苗接种、身份登记");
    desk.assert_accessible();
    desk.picture("agency-forbidden");
    // Escape answers the question with no.
    desk.evaluate("void document.getElementById('occurred-at').focus()");
    desk.type_into(":focus", ENTER);
    desk.see("#confirm[open]");
    desk.type_into(":focus", ESCAPE);
    desk.see("#confirm:not([open])");
}

#[test]
fn a_refused_result_stays_in_the_form_for_the_same_agencys_next_token() {
    let yima = Yima::start(Options::default());
    let desk = Window::open(DESK, &yima.writer_url());
    let sign_in = |token: &str| desk.type_into("#token", &format!("{token}{ENTER}"));
    let number = || value(&desk, "document-number");
    let (one, other) = (new_person().document, new_person().document);
    let send = |number: &str| {
        desk.evaluate("void (document.getElementById('document-number').value = '')");
        desk.type_into("#document-number", number);
        choose(&desk, "result", "negative");
        let time = an_hour_ago(&desk);
        desk.evaluate("void (document.getElementById('occurred-at').value = '')");
        desk.type_into("#occurred-at", &time);
        desk.click("#single button[type='submit']");
        desk.click("#confirm-send");
    };
    // A checkpoint's token may not send events. The page says so and keeps the typed text.
    sign_in(&yima.token(&["checkpoint"]));
    send(&one);
    desk.see("#single-status[data-status='rejected']:not(:empty)");
    assert_eq!(number(), json!(one));
    desk.click("#sign-out");
    desk.see("#sign-in:focus");
    sign_in(&yima.agency_token("lab-7"));
    assert_eq!(number(), json!(""));
    let refuse_events = "void (window.asks ??= fetch, window.fetch = async (path, init) =>
        path === '/v1/events' ? new Response('', { status: 401 }) : asks(path, init))";
    desk.evaluate(refuse_events);
    send(&other);
    desk.see("#sign-in:focus #notice:not(:empty)");
    // The token that was refused is not kept either.
    assert_storage_empty(&desk);
    desk.evaluate("void (window.fetch = asks)");
    sign_in(&yima.agency_token("lab-7"));
    desk.see("#single-card:not([hidden])");
    assert_eq!(number(), json!(other));
    // Another agency finds an empty form.
    desk.evaluate(refuse_events);
    send(&other);
    desk.see("#sign-in:not([hidden])");
    sign_in(&yima.agency_token("lab-8"));
    desk.see("#single-card:not([hidden])");
    assert_eq!(number(), json!(""));
}
