use proptest::prelude::*;
use serde_json::{Value, json};
use yima_schema::event::{EventData, TestOutcome};

use super::*;

const NOW: i64 = 1_790_000_000; // 2026-09-21T14:13:20Z

fn read_as(dialect: Dialect, text: &[u8]) -> Row {
    let (pseudonyms, rules) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in());
    let now = Time::from_secs(NOW);
    read(text, dialect, Context { agency: "lab-7", now, pseudonyms: &pseudonyms, rules: &rules })
}

fn read_event(event: &Value) -> Row {
    read_as(Dialect::Event, event.to_string().as_bytes())
}

fn read_fhir(resource: &Value) -> Row {
    read_as(Dialect::Fhir, resource.to_string().as_bytes())
}

fn test_result() -> Value {
    json!({
        "id": "lab7-000123", "revision": 0, "kind": "test_result",
        "subject": {"document_type": "cn_resident_id", "document_number": "610102199003070016"},
        "occurred_at": "2026-09-21T07:30:00Z", "data": {"test": "nucleic_acid", "result": "negative"}
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut event = test_result();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[key] = value;
    event
}

/// The pointers at fault.
fn faults(row: Row) -> Vec<String> {
    match row.event {
        Err(NotTaken::Rejected(problem)) => problem.errors.into_iter().map(|e| e.pointer).collect(),
        Err(NotTaken::Ignored(reason)) => vec![format!("ignored: {reason}")],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn the_documented_example_is_an_event() {
    let row = read_event(&test_result());
    assert_eq!(row.id.as_deref(), Some("lab7-000123"));
    let stored = row.event.unwrap();
    assert_eq!(stored.event.document, "610102********0016");
    assert_eq!(stored.event.agency, "lab-7");
}

#[test]
fn each_fault_names_its_field() {
    for (pointer, value) in [
        ("/id", json!("has space")),
        ("/id", json!(7)),
        ("/revision", json!(-1)),
        ("/kind", json!("tset")),
        ("/occurred_at", json!("2026-09-21")),
        ("/occurred_at", json!("2026-09-21T14:18:21Z")),
        ("/subject/document_type", json!("library_card")),
        ("/subject/document_number", json!("610102199003070015")),
        ("/data/test", json!("smell")),
        ("/data/result", json!("maybe")),
        ("/data/untill", json!("2026-09-22T00:00:00Z")),
        ("/extra", json!(1)),
    ] {
        assert_eq!(faults(read_event(&with(pointer, value))), [pointer], "{pointer}");
    }
    assert_eq!(faults(read_event(&with("/subject", json!(3)))), ["/subject"]);
    assert_eq!(faults(read_event(&json!([]))), [""]);
    let several = json!({"kind": "identity", "data": {"born": "1990"}});
    assert_eq!(faults(read_event(&several)), ["/id", "/occurred_at", "/subject", "/data/name", "/data/born"]);
}

#[test]
fn five_minutes_ahead_is_the_senders_clock_more_is_the_future() {
    assert!(read_event(&with("/occurred_at", json!("2026-09-21T14:18:20Z"))).event.is_ok());
}

#[test]
fn an_agency_writes_under_its_own_name() {
    assert!(read_event(&with("/agency", json!("lab-7"))).event.is_ok());
    assert_eq!(faults(read_event(&with("/agency", json!("lab-8")))), ["/agency"]);
    let local = |n: &str| with("/subject", json!({"document_type": "local", "document_number": n}));
    assert!(read_event(&local("lab-7/42")).event.is_ok());
    assert_eq!(faults(read_event(&local("lab-8/42"))), ["/subject/document_number"]);
}

#[test]
fn a_reason_gives_only_its_colours() {
    let assignment = |colour: &str, reason: &str, until: Value| {
        let mut event = test_result();
        event["kind"] = json!("colour_assignment");
        event["data"] = json!({"colour": colour, "reason": reason, "until": until});
        faults(read_event(&event))
    };
    assert!(assignment("yellow", "close_contact", Value::Null).is_empty());
    assert_eq!(assignment("green", "close_contact", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "bank_deposit", Value::Null), ["/data/reason"]);
    assert_eq!(assignment("none", "released", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "quarantine", json!("2026-09-21T07:30:00Z")), ["/data/until"]);
}

#[test]
fn other_vaccines_are_ignored_and_names_are_masked() {
    let mut event = test_result();
    event["kind"] = json!("vaccination");
    event["data"] = json!({"vaccine": "140", "dose": 1});
    assert!(faults(read_event(&event))[0].starts_with("ignored: not a COVID-19 vaccine"));
    event["kind"] = json!("identity");
    event["data"] = json!({"name": "张三", "born": "1990-03-07"});
    let EventData::Identity { name, .. } = read_event(&event).event.unwrap().event.data else { panic!() };
    assert_eq!(name, "张*");
}

fn immunization() -> Value {
    json!({
        "resourceType": "Immunization", "id": "i1", "status": "completed",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "208"}]},
        "patient": {"reference": "Patient/p1"}, "occurrenceDateTime": "2021-05-16T05:15:06-04:00"
    })
}

#[test]
fn a_resource_and_its_patient_are_one_subject() {
    let patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Lee", "given": ["Anna"]}],
        "birthDate": "1990-03", "meta": {"versionId": "4"}, "deceasedDateTime": "2022"});
    let patient = read_fhir(&patient).event.unwrap();
    let dose = read_fhir(&immunization()).event.unwrap();
    assert!(patient.event.subject == dose.event.subject);
    assert_eq!((patient.event.id.as_str(), patient.event.revision), ("Patient/p1", 4));
    let EventData::Identity { name, born, deceased_at } = patient.event.data else { panic!() };
    assert_eq!((name.as_str(), born.as_deref()), ("A*** L**", Some("1990-03")));
    assert_eq!(deceased_at.unwrap().to_string(), "2022-01-01T00:00:00Z");
}

#[test]
fn fhir_faults_name_their_element() {
    let changed = |key: &str, value: Value| {
        let mut resource = immunization();
        resource[key] = value;
        faults(read_fhir(&resource))
    };
    assert_eq!(changed("resourceType", json!("Observation")), ["/resourceType"]);
    assert_eq!(changed("id", json!("a/b")), ["/id"]);
    assert_eq!(changed("status", json!("on-hold")), ["/status"]);
    assert_eq!(changed("patient", json!({"reference": "urn:uuid:1"})), ["/patient/reference"]);
    assert_eq!(changed("vaccineCode", json!({"text": "the blue one"})), ["/vaccineCode/coding"]);
    assert_eq!(changed("occurrenceDateTime", json!("May")), ["/occurrenceDateTime"]);
    assert_eq!(changed("occurrenceDateTime", json!("2030")), ["/occurrenceDateTime"]);
    assert_eq!(changed("modifierExtension", json!([])), ["/modifierExtension"]);
    assert_eq!(changed("meta", json!({"versionId": "v2"})), ["/meta/versionId"]);
    assert_eq!(changed("status", json!("not-done")), ["ignored: the vaccination was not done"]);
    let mut retracted = immunization();
    retracted["status"] = json!("entered-in-error");
    assert!(matches!(read_fhir(&retracted).event.unwrap().event.data, EventData::Retraction { .. }));
}

#[test]
fn not_json_is_malformed_whatever_it_is() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [&b"{"[..], b"\xff\xfe", deep.as_bytes(), b"{\"id\":\"\xff\"}"] {
        let Err(NotTaken::Rejected(problem)) = read_as(Dialect::Event, text).event else { panic!() };
        assert_eq!(problem.kind, ProblemType::Malformed);
    }
    let long = vec![b' '; MAX_EVENT_BYTES + 1];
    let Err(NotTaken::Rejected(problem)) = read_as(Dialect::Event, &long).event else { panic!() };
    assert_eq!(problem.kind, ProblemType::TooLarge);
}

proptest! {
    #[test]
    fn noise_never_panics(text in any::<Vec<u8>>(), fhir in any::<bool>()) {
        read_as(if fhir { Dialect::Fhir } else { Dialect::Event }, &text);
    }

    /// Any value anywhere in a good event: a fault names a place, nothing panics, and no submitted text is repeated.
    #[test]
    fn faults_repeat_nothing(at in 0..9usize, text in "[a-z]{12}") {
        let pointers = ["/id", "/revision", "/kind", "/occurred_at", "/subject", "/subject/document_type",
            "/subject/document_number", "/data/test", "/data/result"];
        let row = read_event(&with(pointers[at], json!(text)));
        if let Err(NotTaken::Rejected(problem)) = row.event {
            prop_assert!(!problem.errors.is_empty());
            prop_assert!(!serde_json::to_string(&problem).unwrap().contains(&text));
        } else {
            prop_assert_eq!(at, 0); // a fine id
        }
    }
}

#[test]
fn results_are_read_as_they_are_named() {
    for (name, expected) in [
        ("negative", TestOutcome::Negative),
        ("positive", TestOutcome::Positive),
        ("inconclusive", TestOutcome::Inconclusive),
        ("invalid", TestOutcome::Invalid),
    ] {
        let EventData::TestResult { result, .. } =
            read_event(&with("/data/result", json!(name))).event.unwrap().event.data
        else {
            panic!()
        };
        assert_eq!(result, expected);
    }
}
