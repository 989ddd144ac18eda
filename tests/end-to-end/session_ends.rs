//! Ends of sessions in one process: sign-out, everywhere, too many.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Yima, new_person, until};
use yima_schema::time::HOUR;

fn end(yima: &Yima, path: &str, session: &str) -> u16 {
    let bearer = format!("Bearer {session}");
    let url = format!("{}{path}", yima.read_url());
    yima.http().send("DELETE", &url, &[("authorization", &bearer)], None).expect("a whole answer").status
}

#[test]
fn an_ended_session_is_refused_at_once_and_after_a_restart_and_health_is_untouched() {
    let mut yima = Yima::start(Options::default().unlimited());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let [one, other, third] = [(); 3].map(|()| yima.session_of(&person));
    assert_eq!(end(&yima, "/v1/sessions/current", &one), 204);
    assert_eq!(yima.display_now(&one).status, 401);
    let shown = yima.display_now(&other).json(200);
    assert_eq!(shown["colour"]["reason"], "not_registered", "an end registers nobody");
    assert_eq!(yima.event(&lab, &person.test("t-1", "positive", HOUR)), "accepted");
    assert_eq!(end(&yima, "/v1/sessions/current", &one), 204, "a repeated sign-out changes nothing");
    assert_eq!(yima.shown(&other), ("red".to_owned(), "positive_nucleic_acid".to_owned()));
    yima.restart();
    assert_eq!(yima.display_now(&one).status, 401);
    assert_eq!(end(&yima, "/v1/sessions", &one), 401);
    assert_eq!(end(&yima, "/v1/sessions", &other), 204);
    assert_eq!([&other, &third].map(|session| yima.display_now(session).status), [401, 401]);
    assert_eq!(yima.display_now(&yima.session_of(&person)).json(200)["colour"]["code"], json!("red"));
    assert_eq!(end(&yima, "/v1/sessions/current", &yima.checkpoint_session()), 403);
    // Of nine sessions the first is ended.
    let person = new_person();
    let sessions = [(); 9].map(|()| yima.session_of(&person));
    until("the end of the first", Duration::from_secs(20), || yima.display_now(&sessions[0]).status == 401);
    assert!(sessions[1..].iter().all(|session| yima.display_now(session).status == 200));
}
