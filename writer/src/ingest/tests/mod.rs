//! What becomes of what is sent.

mod bundles;
mod events;
mod records;
mod resources;

use proptest::prelude::*;
use serde_json::{Value, json};
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::*;

const NOW: i64 = 1_790_000_000; // 2026-09-21T14:13:20Z

fn read(input: Input) -> Row {
    read_at(0, input)
}

fn read_at(date_offset_minutes: i16, input: Input) -> Row {
    let (pseudonyms, rules) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in());
    let now = Time::from_secs(NOW);
    input.read(Context { agency: "lab-7", now, pseudonyms: &pseudonyms, rules: &rules, date_offset_minutes })
}

fn read_event(event: &Value) -> Row {
    read(Input::Event(event.to_string().into()))
}

fn read_fhir(resource: &Value) -> Row {
    read(Input::Fhir(resource.to_string().into()))
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
        Err(RowError::Rejected(problem)) => problem.errors.into_iter().map(|e| e.pointer).collect(),
        Err(RowError::Ignored(reason)) => vec![format!("ignored: {reason}")],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn not_json_is_malformed_whatever_it_is() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [&b"{"[..], b"\xff\xfe", deep.as_bytes(), b"{\"id\":\"\xff\"}"] {
        let Err(RowError::Rejected(problem)) = read(Input::Event(Bytes::copy_from_slice(text))).event else { panic!() };
        assert_eq!(problem.kind, ProblemType::Malformed);
    }
    let long = vec![b' '; MAX_EVENT_BYTES + 1];
    let Err(RowError::Rejected(problem)) = read(Input::Event(long.into())).event else { panic!() };
    assert_eq!(problem.kind, ProblemType::TooLarge);
}

proptest! {
    #[test]
    fn noise_never_panics(text in any::<Vec<u8>>(), fhir in any::<bool>()) {
        read(if fhir { Input::Fhir(text.clone().into()) } else { Input::Event(text.clone().into()) });
        // What is no CSV is refused; what is one has rows that can be read.
        for (_, record) in csv::records(&text.clone().into()).unwrap_or_default() {
            read(record);
        }
        drop(fhir::Bundle::read(&text.into()));
    }

    /// Any value anywhere in a good event: a fault names a place, nothing panics, and no submitted text is repeated.
    #[test]
    fn faults_repeat_nothing(at in 0..9usize, text in "[a-z]{12}") {
        let pointers = ["/id", "/revision", "/kind", "/occurred_at", "/subject", "/subject/document_type",
            "/subject/document_number", "/data/test", "/data/result"];
        let row = read_event(&with(pointers[at], json!(text)));
        if let Err(RowError::Rejected(problem)) = row.event {
            prop_assert!(!problem.errors.is_empty());
            prop_assert!(!serde_json::to_string(&problem).unwrap().contains(&text));
        } else {
            prop_assert_eq!(at, 0); // a fine id
        }
    }
}
