//! People by number, and an event that everybody has: for benchmarks and soaks.

use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::subject::SubjectId;

use crate::now;

/// A subject for each number, spread over all of them as real ones are.
pub fn subject(n: u64) -> SubjectId {
    let number = u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    SubjectId::from_bytes(number.to_be_bytes())
}

/// A negative test of now.
pub fn negative(subject: SubjectId, agency: String, id: String) -> StoredEvent {
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
