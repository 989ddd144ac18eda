//! Fixtures of the tests: stores, subjects, events and views.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use yima_schema::change::Change;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

pub fn options() -> EmbeddedOptions {
    EmbeddedOptions { cache_bytes: 16 << 20, ..EmbeddedOptions::new("xian", [7; 16]) }
}

pub fn open(path: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(path, options()).unwrap()
}

/// Spread over the key space, and the same for the same number.
pub fn subject(number: u64) -> SubjectId {
    let head = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    SubjectId::from_bytes([head, number.to_be_bytes()].concat().try_into().unwrap())
}

pub fn event(subject: SubjectId, id: &str) -> StoredEvent {
    let event = Event {
        subject,
        agency: "lab-7".into(),
        id: id.into(),
        revision: 0,
        document: "610102********0016".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative },
    };
    StoredEvent::new(event, Time::from_secs(1_790_000_100))
}

/// A view that contains the version it was written at.
pub fn view(version: Version) -> Bytes {
    View { rules_version: version.0 as u32, ..View::default() }.encode()
}

pub fn change(subject: SubjectId, version: Version) -> Change {
    Change { subject, version, view: view(version), traced: None }
}
