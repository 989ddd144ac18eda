//! Decoding of rows, as they are sent.

mod bundles;
mod events;
mod records;
mod resources;

use jiff::tz::Offset;
use proptest::prelude::*;
use serde_json::{Value, json};
use yima_schema::event::{EventData, Rank, TestKind, TestOutcome};

use super::*;

const NOW: i64 = 1_790_000_000; // 2026-09-21T14:13:20Z

fn decode(row: RawRow) -> DecodedRow {
    decode_at(0, row)
}

fn decode_at(date_offset_minutes: i16, row: RawRow) -> DecodedRow {
    let (pseudonyms, rules) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in());
    let now = Time::from_secs(NOW);
    let codes = Codes::built_in();
    let (pseudonyms, offset) = (&pseudonyms, Offset::from_seconds(i32::from(date_offset_minutes) * 60).unwrap());
    let zone = &TimeZone::fixed(offset);
    row.decode(Context { agency: "lab-7", now, pseudonyms, rules: &rules, codes: &codes, zone })
}

fn decode_event(event: &Value) -> DecodedRow {
    decode(RawRow::Event(event.to_string().into()))
}

fn decode_fhir(resource: &Value) -> DecodedRow {
    decode(RawRow::Fhir(resource.to_string().into()))
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

/// The pointers of a row's errors.
fn error_pointers(row: DecodedRow) -> Vec<String> {
    match row.event {
        Err(RowError::Rejected(problem)) => problem.errors.into_iter().map(|e| e.pointer).collect(),
        Err(RowError::UnreadPositive(unread)) => {
            unread.problem.errors.into_iter().map(|e| format!("unread: {}", e.pointer)).collect()
        }
        Err(RowError::Ignored(reason)) => vec![format!("ignored: {reason}")],
        Err(RowError::NotCounted(fact)) => vec![format!("ignored: {}", fact.reason)],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn text_that_is_not_json_is_malformed() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [&b"{"[..], b"\xff\xfe", deep.as_bytes(), b"{\"id\":\"\xff\"}"] {
        let Err(RowError::Rejected(problem)) = decode(RawRow::Event(Bytes::copy_from_slice(text))).event else {
            panic!()
        };
        assert_eq!(problem.kind, ProblemType::Malformed);
    }
    let long = vec![b' '; MAX_EVENT_BYTES + 1];
    let Err(RowError::Rejected(problem)) = decode(RawRow::Event(long.into())).event else { panic!() };
    assert_eq!(problem.kind, ProblemType::TooLarge);
}

proptest! {
    #[test]
    fn noise_never_panics(text in any::<Vec<u8>>(), fhir in any::<bool>()) {
        decode(if fhir { RawRow::Fhir(text.clone().into()) } else { RawRow::Event(text.clone().into()) });
        // Text that is not CSV is refused; the records of CSV can be decoded.
        for (_, record) in csv::records(&text.clone().into()).unwrap_or_default() {
            decode(record);
        }
        drop(fhir::Bundle::read(&text.into()));
    }

    /// Any value anywhere in a valid event: an error has a pointer, nothing panics, and no submitted text is repeated.
    #[test]
    fn errors_repeat_nothing(at in 0..9usize, text in "[a-z]{12}") {
        let pointers = ["/id", "/revision", "/kind", "/occurred_at", "/subject", "/subject/document_type",
            "/subject/document_number", "/data/test", "/data/result"];
        let row = decode_event(&with(pointers[at], json!(text)));
        if let Err(RowError::Rejected(problem)) = row.event {
            prop_assert!(!problem.errors.is_empty());
            prop_assert!(!serde_json::to_string(&problem).unwrap().contains(&text));
        } else {
            prop_assert_eq!(at, 0); // a valid id
        }
    }
}
