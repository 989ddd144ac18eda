//! An accepted event is visible at once, on the phone and at the checkpoint.

use std::time::Duration;

use serde_json::json;
use yima_harness::{ago, new_person, now, until};
use yima_schema::time::{DAY, HOUR, Time};

use crate::shared;

fn shown(colour: &str, reason: &str) -> (String, String) {
    (colour.to_owned(), reason.to_owned())
}

#[test]
fn a_positive_test_turns_red_at_once_and_its_correction_green_at_once() {
    let yima = shared();
    let (person, lab, guard) = (new_person(), yima.agency_token("lab-7"), yima.checkpoint_session());
    let session = yima.session_of(&person);
    let identity = person.event("id-1", "identity", &ago(DAY), json!({ "name": "欧阳小明", "born": "1990-03-07" }));
    assert_eq!(yima.event(&lab, &identity), "accepted");
    let green = yima.display(&session).json(200);
    assert_eq!(green["colour"]["code"], "green");
    assert_eq!(green["colour"]["reason"], "no_restriction");
    let code = yima.code(&session);
    let scan = yima.scan(&guard, &code);
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("pass"), &json!("green")));
    assert!(scan["instruction"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(scan["as_of"].as_str().is_some_and(|at| at.parse::<Time>().is_ok()));
    for body in [&green, &scan] {
        assert_eq!(body["identity"]["document"], format!("110105********{}", &person.document[14..]));
        let text = body.to_string();
        assert!(!text.contains("小明") && !text.contains(&person.document), "{text}");
    }

    let positive = person.test("t-1", "positive", HOUR);
    assert_eq!(yima.event(&lab, &positive), "accepted");
    let red = yima.display(&session).json(200);
    assert_eq!((&red["colour"]["code"], &red["colour"]["reason"]), (&json!("red"), &json!("positive_nucleic_acid")));
    assert_eq!(red["colour"]["agency"], "lab-7");
    assert_eq!(red["tests"][0]["sampled_at"], positive["occurred_at"]);
    assert!(red["version"].as_u64() > green["version"].as_u64());
    // A code made while green is judged by the present view.
    let scan = yima.scan(&guard, &code);
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("stop"), &json!("red")));

    let mut correction = person.test("t-1", "negative", HOUR);
    correction["revision"] = 1.into();
    assert_eq!(yima.event(&lab, &correction), "accepted");
    assert_eq!(yima.shown(&session), shown("green", "no_restriction"));
    assert_eq!(yima.scan(&guard, &code)["verdict"], "pass");
    // The lower revision is sent again, late, and changes nothing.
    assert_eq!(yima.event(&lab, &positive), "duplicate");
    assert_eq!(yima.shown(&session), shown("green", "no_restriction"));
}

#[test]
fn a_retraction_removes_only_an_event_of_the_same_agency() {
    let yima = shared();
    let (person, lab, other) = (new_person(), yima.agency_token("lab-7"), yima.agency_token("lab-8"));
    let session = yima.session_of(&person);
    yima.event(&lab, &person.test("t-1", "positive", HOUR));
    let retraction =
        person.event("r-1", "retraction", &ago(HOUR), json!({ "event_id": "t-1", "why": "two samples mixed up" }));
    assert_eq!(yima.event(&other, &retraction), "accepted");
    assert_eq!(yima.shown(&session).0, "red");
    assert_eq!(yima.event(&lab, &retraction), "accepted");
    assert_eq!(yima.shown(&session).0, "green");
    assert_eq!(yima.display(&session).json(200)["tests"], json!([]));
}

#[test]
fn an_assigned_colour_ends_at_its_time() {
    let yima = shared();
    let (person, cdc, guard) = (new_person(), yima.agency_token("xian-cdc"), yima.checkpoint_session());
    let session = yima.session_of(&person);
    let end = now().plus(Duration::from_secs(2)).to_string();
    let data = json!({ "colour": "yellow", "reason": "close_contact", "until": end });
    yima.event(&cdc, &person.event("a-1", "colour_assignment", &ago(HOUR), data));
    let first = yima.display(&session);
    let body = first.json(200);
    assert_eq!(body["colour"]["code"], "yellow");
    assert_eq!((&body["colour"]["reason"], &body["colour"]["agency"]), (&json!("close_contact"), &json!("xian-cdc")));
    assert_eq!((&body["colour"]["until"], &body["next_transition_at"]), (&json!(end), &json!(end)));
    let scan = yima.scan(&guard, &yima.code(&session));
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("check"), &json!("yellow")));

    until("the end of yellow", Duration::from_secs(20), || yima.shown(&session).0 != "yellow");
    assert!(now().to_string() >= end, "yellow ended too early");
    let last = yima.display(&session);
    assert_eq!(last.json(200)["colour"]["code"], "green");
    assert_eq!(last.json(200)["version"], body["version"], "time alone writes nothing");
    assert_ne!(last.header("etag"), first.header("etag"));
}

#[test]
fn unknown_subject_has_no_colour() {
    let yima = shared();
    let person = new_person();
    let session = yima.session_of(&person);
    assert_eq!(yima.shown(&session), shown("none", "not_registered"));
    // The negative entry ends with the subject's first event.
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    assert_eq!(yima.shown(&session), shown("green", "no_restriction"));
}
