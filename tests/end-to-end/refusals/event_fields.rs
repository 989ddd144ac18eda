//! Events with an invalid field, and bodies that are no event: refused with a pointer to the
//! error; no value is repeated.

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Person, Yima, ago, new_person, now};
use yima_schema::time::HOUR;

use super::{assert_unharmed, problem};
use crate::shared;

/// A valid event of this kind.
fn valid(person: &Person, kind: &str) -> Value {
    let data = match kind {
        "identity" => json!({ "name": "张三" }),
        "vaccination" => json!({ "vaccine": "208", "dose": 1 }),
        "colour_assignment" => json!({ "colour": "red", "reason": "quarantine" }),
        "guardianship" => {
            json!({ "guardian_document_type": "passport", "guardian_document_number": "E12345678" })
        }
        "retraction" => json!({ "event_id": "t-1", "why": "mixed up" }),
        _ => json!({ "test": "nucleic_acid", "result": "positive" }),
    };
    person.event("t-1", kind, &ago(HOUR), data)
}

/// Sets or adds the field at a pointer; `null` removes it.
fn put(event: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer to a field");
    let parent = event.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    if value.is_null() {
        parent.remove(field);
    } else {
        parent.insert(field.to_owned(), value);
    }
}

#[track_caller]
fn assert_refused(yima: &Yima, lab: &str, event: &Value, pointer: &str) {
    let reply = yima.push(lab, "application/json", event.to_string().as_bytes());
    let problem = problem(&reply, 400, "invalid");
    let errors = problem["errors"].as_array().expect("the invalid fields");
    assert_eq!(errors.len(), 1, "one invalid field is one error: {problem}");
    assert_eq!(errors[0]["pointer"], pointer, "{event}");
    assert!(errors[0]["detail"].as_str().is_some_and(|text| text.len() > 5), "{problem}");
    let number = event["subject"]["document_number"].as_str().unwrap_or("-");
    assert!(!problem.to_string().contains(number) && !problem.to_string().contains("hunter2"), "{problem}");
}

#[test]
fn an_invalid_field_is_named_by_its_pointer() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let wrong_check = match person.document.split_at(17) {
        (digits, "0") => format!("{digits}1"),
        (digits, _) => format!("{digits}0"),
    };
    let future = now().plus(Duration::from_secs(360)).to_string();
    let long = "x".repeat(101);
    let invalid = [
        ("test_result", "/id", json!(null)),
        ("test_result", "/id", json!("")),
        ("test_result", "/id", json!("hunter2 hunter2")),
        ("test_result", "/id", json!(long)),
        ("test_result", "/id", json!(7)),
        ("test_result", "/revision", json!(-1)),
        ("test_result", "/revision", json!(1.5)),
        ("test_result", "/revision", json!("hunter2")),
        ("test_result", "/revision", json!(1_u64 << 53)),
        ("test_result", "/revision", json!(u64::MAX)),
        ("test_result", "/kind", json!("hunter2")),
        ("test_result", "/kind", json!(null)),
        ("test_result", "/subject", json!(null)),
        ("test_result", "/subject", json!("hunter2")),
        ("test_result", "/subject/document_type", json!("hunter2")),
        ("test_result", "/subject/document_number", json!(wrong_check)),
        ("test_result", "/subject/document_number", json!("110105199013010011")),
        ("test_result", "/subject/document_number", json!("hunter2")),
        ("test_result", "/subject/document_number", json!(110105199001010013u64)),
        ("test_result", "/subject/name", json!("hunter2")),
        ("test_result", "/occurred_at", json!(future)),
        ("test_result", "/occurred_at", json!("0001-01-01T00:00:00Z")),
        ("vaccination", "/occurred_at", json!("1980-01-01T00:00:00Z")),
        ("colour_assignment", "/occurred_at", json!("2019-11-30T23:59:59Z")),
        ("test_result", "/subject/document_number", json!("610102209903070018")),
        ("test_result", "/occurred_at", json!("2021-12-20T07:30:00")),
        ("test_result", "/occurred_at", json!("2021-02-30T07:30:00Z")),
        ("test_result", "/occurred_at", json!(1_640_000_000)),
        ("test_result", "/occurred_at", json!(null)),
        ("test_result", "/occured_at", json!("2021-12-20T07:30:00Z")),
        ("test_result", "/untill", json!("hunter2")),
        ("test_result", "/data", json!(null)),
        ("test_result", "/data", json!(["hunter2"])),
        ("test_result", "/data/test", json!("hunter2")),
        ("test_result", "/data/result", json!("hunter2")),
        ("test_result", "/data/result", json!("Positive")),
        ("test_result", "/data/result", json!(null)),
        ("colour_assignment", "/data/colour", json!("hunter2")),
        ("colour_assignment", "/data/colour", json!("none")),
        ("colour_assignment", "/data/colour", json!("green")),
        ("colour_assignment", "/data/reason", json!("bank_depositor")),
        ("colour_assignment", "/data/reason", json!(null)),
        ("colour_assignment", "/data/until", json!(ago(HOUR * 2))),
        ("colour_assignment", "/data/until", json!("tomorrow")),
        ("colour_assignment", "/data/untill", json!("2030-01-01T00:00:00Z")),
        ("vaccination", "/data/vaccine", json!(208)),
        ("vaccination", "/data/vaccine", json!("hunter2")),
        ("vaccination", "/data/dose", json!(0)),
        ("vaccination", "/data/dose", json!(21)),
        ("identity", "/data/name", json!("  ")),
        ("identity", "/data/name", json!("hunter2\u{0}")),
        ("identity", "/data/name", json!("张".repeat(201))),
        ("identity", "/data/name", json!("张\u{202e}3991 1102 0016")),
        ("identity", "/data/born", json!("1990-13-01")),
        ("identity", "/data/born", json!("2999-01-01")),
        ("identity", "/data/born", json!("1849-12-31")),
        ("identity", "/data/deceased_at", json!("1850-01-01T00:00:00Z")),
        ("identity", "/data/deceased_at", json!(future)),
        ("guardianship", "/data/guardian_document_type", json!("hunter2")),
        ("guardianship", "/data/guardian_document_type", json!(null)),
        ("guardianship", "/data/guardian_document_number", json!("hunter2-hunter2")),
        ("guardianship", "/data/guardian_document_number", json!(12_345_678)),
        ("guardianship", "/data/guardian_document_number", json!(null)),
        ("guardianship", "/data/until", json!(ago(HOUR * 2))),
        ("guardianship", "/data/until", json!("18 years")),
        ("guardianship", "/data/guardian", json!("hunter2")),
        ("guardianship", "/occurred_at", json!("1849-12-31T00:00:00Z")),
        ("retraction", "/data/event_id", json!("hunter2 hunter2")),
        ("retraction", "/data/why", json!(" ")),
        ("retraction", "/data/why", json!("mixed\nup")),
        ("retraction", "/data/why", json!("w".repeat(201))),
    ];
    for (kind, pointer, value) in invalid {
        let mut event = valid(&person, kind);
        put(&mut event, pointer, value);
        assert_refused(&yima, &lab, &event, pointer);
    }
    let mut released = valid(&person, "colour_assignment");
    put(&mut released, "/data/reason", json!("released"));
    assert_refused(&yima, &lab, &released, "/data/colour");
    // No event was stored, and a valid one of each kind is accepted: the one field was the reason.
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "none");
    for kind in ["identity", "vaccination", "colour_assignment", "guardianship", "retraction", "test_result"] {
        assert_eq!(yima.event(&lab, &valid(&new_person(), kind)), "accepted", "{kind}");
    }
    assert_unharmed(&yima, &person.document);
}

#[test]
fn a_body_that_is_no_event_is_400_with_one_error() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let deep = "[".repeat(200) + &"]".repeat(200);
    let event = valid(&person, "test_result").to_string();
    let latin1 = [event.replace("positive", "").as_bytes(), b"\xe9"].concat();
    for (body, kind) in [
        (b"".as_slice(), "malformed"),
        (b" \n ", "malformed"),
        (b"{", "malformed"),
        (&event.as_bytes()[..event.len() - 1], "malformed"),
        (format!("{event} {event}").as_bytes(), "malformed"),
        (format!("\u{feff}{event}").as_bytes(), "malformed"),
        (format!("{event}\u{0}").as_bytes(), "malformed"),
        (&latin1, "malformed"),
        (b"{\"id\":\"\xff\"}", "malformed"),
        (b"{\"id\":\"\\ud800\"}", "malformed"),
        (b"{\"revision\":1e999}", "malformed"),
        (deep.as_bytes(), "malformed"),
        (event.replacen("{", &format!("{{\"x\":{deep},"), 1).as_bytes(), "malformed"),
        (b"null", "invalid"),
        (b"\"hunter2\"", "invalid"),
        (b"[]", "invalid"),
        (format!("[{event}]").as_bytes(), "invalid"),
    ] {
        let reply = yima.push(&lab, "application/json", body);
        let problem = problem(&reply, 400, kind);
        assert!(!problem.to_string().contains(&person.document) && !problem.to_string().contains("hunter2"));
        let errors = problem["errors"].as_array().map_or(&[] as &[_], Vec::as_slice);
        assert!(errors.len() == 1 && errors[0]["pointer"] == "", "{}: {problem}", String::from_utf8_lossy(body));
    }
    problem(&yima.push(&lab, "application/x-ndjson", b"\n\r\n \n"), 400, "malformed");
    let mut large = valid(&person, "test_result");
    put(&mut large, "/data/x", json!("x".repeat(70_000)));
    problem(&yima.push(&lab, "application/json", large.to_string().as_bytes()), 413, "too-large");
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "none");
    assert_unharmed(&yima, &person.document);
}

#[test]
fn a_member_sent_twice_is_refused_wherever_json_is_read() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let event = valid(&person, "test_result").to_string();
    let twice = event.replacen("\"result\":", "\"result\":\"positive\",\"re\\u0073ult\":", 1);
    assert_ne!(twice, event);
    let pointer = |problem: &Value| problem["errors"][0]["pointer"].clone();
    let refused = problem(&yima.push(&lab, "application/json", twice.as_bytes()), 400, "invalid");
    assert_eq!(pointer(&refused), "/data/result");
    let rows = yima.push(&lab, "application/x-ndjson", format!("{twice}\n{event}").as_bytes());
    let rows: Vec<Value> = rows.text().lines().map(|row| serde_json::from_str(row).expect("a row")).collect();
    assert_eq!((&rows[0]["status"], pointer(&rows[0]["problem"])), (&json!("rejected"), json!("/data/result")));
    assert_eq!(rows[1]["status"], "accepted");
    let patient = r#"{"resourceType":"Patient","id":"p","id":"q","name":[{"text":"Anna"}]}"#;
    let refused = yima.push(&lab, "application/fhir+json", patient.as_bytes());
    assert_eq!(refused.json(400)["issue"][0]["expression"], json!(["id"]));
    let scan = format!("{}/v1/scan", yima.read_url());
    let reply = yima.http().post(&scan, &yima.checkpoint_session(), "application/json", br#"{"code":"a","code":"b"}"#);
    assert_eq!(pointer(&problem(&reply, 400, "invalid")), "/code");
}

#[test]
fn an_event_of_a_clock_4_minutes_ahead_is_accepted() {
    let yima = shared();
    let mut ahead = valid(&new_person(), "test_result");
    put(&mut ahead, "/occurred_at", json!(now().plus(Duration::from_secs(240)).to_string()));
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &ahead), "accepted");
}
