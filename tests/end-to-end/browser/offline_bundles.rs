//! The checkpoint's page and its offline bundle: one of an emergency, and what each role is shown by one.

use std::time::Duration;

use yima_harness::{Options, Yima, new_person, now};
use yima_schema::subject::DocumentType;
use yima_schema::time::{HOUR, Time};
use yima_service::jwt::Claims;

use super::offline_checkpoint::{KEPT_BUNDLE, phone, shift_clock};
use super::window::Window;
use super::{DESK, ENTER, checkpoint, scan};
use crate::phones::{Tokens, register};
use crate::{identity_provider, trusting};

#[test]
fn an_emergency_is_named_in_large_type_lets_expired_codes_count_and_ends_by_itself() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let (_, phone) = phone(&yima, "emergency-1");
    let first = phone.first();
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    yima.command(&["emergency", "start", "--for", "9h", "--expired", "24h", "--why", "停电"]);
    let ends_at = now().plus(HOUR * 9);
    desk.until(&format!("{KEPT_BUNDLE}.then(({{ index }}) => new TextDecoder().decode(index).includes('停电'))"));
    yima.kill9();
    let scan_at = |at: Time| {
        shift_clock(&desk, at.as_secs() - now().as_secs());
        scan(&desk, &first.show_at(at));
    };
    let minute = Duration::from_secs(60);
    scan_at(first.expires_at.plus(minute));
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    desk.see_xpath("//*[@id='offline-emergency'][contains(., 'Emergency until')][contains(., '停电')]");
    let size = desk.evaluate("parseFloat(getComputedStyle(document.getElementById('offline-emergency')).fontSize)");
    assert!(size.as_f64().is_some_and(|size| size >= 24.0), "large type: {size}");
    desk.assert_accessible();
    desk.picture("checkpoint-emergency");
    scan_at(ends_at.plus(minute));
    desk.see("#verdict[data-verdict='check'][data-reason='expired']");
    desk.see("#offline-emergency[hidden]");
}

#[test]
fn without_a_network_too_a_turnstile_is_shown_nobody_and_a_hospital_the_age_of_a_test() {
    let city = identity_provider();
    let mut yima = Yima::start(trusting(&city, Options::default().unlimited()));
    let issue = |claims: Claims| city.issue(&claims, Duration::from_secs(600));
    let person = new_person();
    let lab = issue(Claims { scope: "events:write".into(), agency: Some("lab-7".into()), ..Claims::default() });
    assert_eq!(yima.event(&lab, &person.test("roles-1", "negative", HOUR * 3)), "accepted");
    let session = yima.session(&issue(Claims {
        scope: "display".into(),
        document_type: Some(DocumentType::CnResidentId),
        document_number: Some(person.document),
        ..Claims::default()
    }));
    let phone = Tokens::fetch(&yima, &session, &register(&yima, &session));
    let desks = ["scan:turnstile", "scan", "scan:hospital"].map(|scope| {
        let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
        let token = issue(Claims { scope: scope.into(), checkpoint: Some("gate-3".into()), ..Claims::default() });
        desk.type_into("#token", &format!("{token}{ENTER}"));
        desk.see("#offline[data-state='current'][hidden]");
        desk
    });
    yima.kill9();
    let shown = desks.map(|desk| {
        scan(&desk, &phone.show());
        desk.see("#verdict[data-verdict='pass'][data-reason='green']");
        desk.see_xpath("//*[@id='offline'][contains(., 'Offline, as of')]");
        desk.text("#person")
    });
    let [turnstile, guard, hospital] = &shown;
    assert_eq!(turnstile, "");
    assert!(guard.contains("negative") && !guard.contains("at most"), "{guard}");
    assert!(hospital.contains("negative") && hospital.contains("at most 4 h old"), "{hospital}");
}
