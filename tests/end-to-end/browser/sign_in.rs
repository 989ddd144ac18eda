//! Signing in with a real identity provider in place of the demo's: by its token.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Yima, new_person, until};
use yima_schema::subject::DocumentType;
use yima_service::jwt::Claims;

use super::window::Window;
use super::{DESK, ENTER, PHONE, assert_storage_empty, code, scan};
use crate::{identity_provider, trusting};

#[test]
fn a_citizen_and_a_guard_sign_in_with_tokens_of_the_citys_identity_provider() {
    let city = identity_provider();
    let yima = Yima::start(trusting(&city, Options::default()));
    let person = new_person();
    let citizen = Claims {
        scope: "display".into(),
        document_type: Some(DocumentType::CnResidentId),
        document_number: Some(person.document),
        ..Claims::default()
    };
    let guard = Claims {
        scope: "scan".into(),
        checkpoint: Some("gate".into()),
        require_test_within_h: Some(48),
        ..Claims::default()
    };
    let minute = Duration::from_secs(60);
    let [citizen, stranger, guard] = [(&city, &citizen), (&identity_provider(), &guard), (&city, &guard)]
        .map(|(of, claims)| of.issue(claims, minute));
    let sign_in = |window: &Window, token: &str| {
        window.see("#no-demo:not([hidden])");
        window.type_into("#token", &format!("{token}{ENTER}"));
    };

    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("#no-demo:not([hidden])");
    phone.assert_accessible();
    sign_in(&phone, &guard);
    phone.see_xpath("//*[@id='notice'][contains(., 'not for this page')]");
    sign_in(&phone, &citizen);
    phone.see("#colour[data-colour='none']");
    // Without a record no colour began at any time.
    assert_eq!(phone.evaluate("document.querySelectorAll('#decision dt').length"), json!(1));
    let code = code(&phone);

    let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
    sign_in(&desk, &stranger);
    desk.see_xpath("//*[@id='notice'][contains(., 'not valid')]");
    desk.assert_accessible();
    assert_eq!(desk.evaluate("document.getElementById('token').value"), json!(""));
    sign_in(&desk, &guard);
    desk.see("#verdict[data-verdict='idle']");
    assert_eq!(desk.text("#post-name"), "gate");
    assert_eq!(desk.text("#post-policy"), "Test within 48 h");
    // This guard may not look documents up.
    desk.see("#no-code[hidden]");
    scan(&desk, &code);
    desk.see("#verdict[data-verdict='check'][data-reason='nobody']");
    assert!(!desk.text("#person").contains("null"));
    // A reload stays signed in: the token was exchanged for a session.
    desk.reload();
    desk.see("#verdict[data-verdict='idle']");
    assert_eq!(desk.text("#post-name"), "gate");
    let session = phone.evaluate("sessionStorage.getItem('yima.session.citizen')");
    let session = session.as_str().expect("a session in the tab");
    assert_eq!(yima.display_now(session).status, 200);
    for window in [&phone, &desk] {
        window.click("#sign-out");
        window.see("#sign-in:focus #no-demo:not([hidden])");
        assert_storage_empty(window);
    }
    // Who has copied the session cannot use it.
    until("the end of the session", minute, || yima.display_now(session).status == 401);

    // A lost phone: every session ends, also the one of another device.
    let other = yima.session(&citizen);
    sign_in(&phone, &citizen);
    phone.see("#colour[data-colour='none']");
    phone.click("#everywhere");
    phone.see_xpath("//*[@id='notice'][contains(., 'signed out on all devices')]");
    phone.see("#sign-in:focus #no-demo:not([hidden])");
    assert_storage_empty(&phone);
    until("the end of all sessions", minute, || yima.display_now(&other).status == 401);
}
