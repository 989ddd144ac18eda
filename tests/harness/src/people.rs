//! People of one test each, and events about them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use yima_schema::resident_id::check_character;
use yima_schema::time::Time;

/// A person with a valid document number, of another district than the demo population: no two tests share a subject.
#[derive(Clone, Debug)]
pub struct Person {
    /// A document number of type `cn_resident_id`.
    pub document: String,
}

/// A person without any stored event. Numbers repeat after 23 million people.
///
/// # Panics
/// Never.
pub fn new_person() -> Person {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let (year, month, day, sequence) = (1930 + n / 335_664 % 70, n / 27_972 % 12 + 1, n / 999 % 28 + 1, n % 999 + 1);
    let digits = format!("110105{year}{month:02}{day:02}{sequence:03}");
    let check = check_character(digits.as_bytes().try_into().expect("6 + 8 + 3 digits"));
    Person { document: format!("{digits}{}", char::from(check)) }
}

/// The present time.
pub fn now() -> Time {
    yima_service::clock::now()
}

/// A time in the past, as in an event.
pub fn ago(by: Duration) -> String {
    now().minus(by).to_string()
}

impl Person {
    /// An event about this person, revision 0. Tests change or add fields by index.
    pub fn event(&self, id: &str, kind: &str, occurred_at: &str, data: Value) -> Value {
        json!({
            "id": id,
            "kind": kind,
            "subject": { "document_type": "cn_resident_id", "document_number": self.document },
            "occurred_at": occurred_at,
            "data": data,
        })
    }

    /// A nucleic-acid test, taken this long ago.
    pub fn test(&self, id: &str, result: &str, by: Duration) -> Value {
        self.event(id, "test_result", &ago(by), json!({ "test": "nucleic_acid", "result": result }))
    }
}
