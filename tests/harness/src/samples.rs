//! Numbered subjects, each with one event and its view: for benchmarks and soaks.

use std::sync::Arc;

use yima_schema::change::Change;
use yima_schema::code::TokenKeys;
use yima_schema::derive::derive;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::view::Version;

use crate::now;

/// The subject of a number; subjects spread over the whole range, as real ones do.
pub fn subject(n: u64) -> SubjectId {
    let number = u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    SubjectId::from_bytes(number.to_be_bytes())
}

/// The keys of denial tags.
pub fn token_keys() -> Arc<TokenKeys> {
    Arc::new(TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32])))
}

/// A negative test with the present time.
pub fn negative_test(subject: SubjectId, agency: String, id: String) -> StoredEvent {
    let event = Event {
        subject,
        agency,
        id,
        revision: 0,
        document: "610102********0016".into(),
        occurred_at: now(),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative },
    };
    StoredEvent::new(event, now())
}

/// The change to this version of a subject that has this event and no other.
pub fn change(event: &StoredEvent, version: Version, rules: &Rules) -> Change {
    let view = derive(std::slice::from_ref(event), rules).encode();
    Change { subject: event.event.subject, version, view, traced: None }
}
