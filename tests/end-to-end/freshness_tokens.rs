//! The freshness token of an accepted event, in every form of answer, and what holds without it in one process.

use serde_json::{Value, json};
use yima_harness::{Person, Reply, Yima, ago, new_person};
use yima_schema::time::HOUR;

use crate::shared;

fn display(yima: &Yima, session: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("yima-at-least-as-fresh", token)];
    yima.http().get_with(&format!("{}/v1/display", yima.read_url()), &headers).expect("a whole answer")
}

/// The token works for its person and for nobody else.
#[track_caller]
fn assert_token_of(yima: &Yima, person: &Person, token: &Value) {
    let token = token.as_str().unwrap_or_else(|| panic!("expected a token: {token}"));
    assert!(token.len() > 64 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");
    let shown = display(yima, &yima.session_of(person), token).json(200);
    assert_ne!(shown["colour"]["code"], "none");
    let refused = display(yima, &yima.session_of(&new_person()), token).json(400);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("Yima-At-Least-As-Fresh")), "{refused}");
}

#[test]
fn an_accepted_event_is_in_the_very_next_display() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    let people: Vec<_> = (0..20).map(|_| new_person()).collect();
    let sessions: Vec<_> = people.iter().map(|person| yima.session_of(person)).collect();
    let (mut older, mut version) = (0, vec![0; people.len()]);
    for round in 0..25 {
        for (n, person) in people.iter().enumerate() {
            let event = person.test(&format!("t-{round}"), "negative", HOUR);
            assert_eq!(yima.event(&lab, &event), "accepted");
            // Not repeated until its `as_of` is late enough.
            let shown = yima.display_now(&sessions[n]).json(200)["version"].as_u64().expect("a version");
            older += u32::from(shown <= version[n]);
            version[n] = shown;
        }
    }
    assert_eq!(older, 0, "of 500 displays lacked the event that had been accepted");
}

#[test]
fn every_form_of_answer_has_the_token_of_each_accepted_event() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    let (one, other) = (new_person(), new_person());

    let event = one.test("t-1", "negative", HOUR).to_string();
    let answer = yima.push(&lab, "application/json", event.as_bytes()).json(200);
    assert_token_of(&yima, &one, &answer["freshness"]);
    let again = yima.push(&lab, "application/json", event.as_bytes()).json(200);
    assert_eq!((&again["status"], again.get("freshness")), (&json!("duplicate"), None));

    let rows = [one.test("t-2", "negative", HOUR), json!({}), other.test("t-2", "negative", HOUR)];
    let answers = yima.rows(&lab, &rows);
    assert_token_of(&yima, &one, &answers[0]["freshness"]);
    assert_eq!((&answers[1]["status"], answers[1].get("freshness")), (&json!("rejected"), None));
    assert_token_of(&yima, &other, &answers[2]["freshness"]);

    let csv = format!(
        "id,kind,document_type,document_number,occurred_at,test,result\n\
         t-3,test_result,cn_resident_id,{},{},antigen,negative\n",
        one.document,
        ago(HOUR)
    );
    assert_token_of(&yima, &one, &yima.push(&lab, "text/csv", csv.as_bytes()).rows()[0]["freshness"]);

    let identifier = json!({ "system": "urn:oid:2.16.156.10011.1.3", "value": one.document });
    let patient = |id: &str| {
        json!({ "resourceType": "Patient", "id": id, "name": [{ "text": "安娜" }],
        "identifier": [identifier], "meta": { "lastUpdated": ago(HOUR) } })
    };
    let created = yima.push(&lab, "application/fhir+json", patient("p-1").to_string().as_bytes()).json(201);
    assert_eq!(created["extension"][0]["url"], "https://yima.dev/fhir/freshness");
    assert_token_of(&yima, &one, &created["extension"][0]["valueString"]);
    let line = format!("{}\n", patient("p-2"));
    assert_token_of(&yima, &one, &yima.push(&lab, "application/fhir+ndjson", line.as_bytes()).rows()[0]["freshness"]);
    for (kind, id) in [("batch", "p-3"), ("transaction", "p-4")] {
        let entry = json!({ "resource": patient(id), "request": { "method": "PUT", "url": format!("Patient/{id}") } });
        let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] });
        let answer = yima.push(&lab, "application/fhir+json", bundle.to_string().as_bytes()).json(200);
        assert_token_of(&yima, &one, &answer["entry"][0]["response"]["outcome"]["extension"][0]["valueString"]);
    }
}
