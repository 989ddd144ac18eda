//! Events of people of whom nothing is known yet, and what the driver alone is given of them.

use std::sync::atomic::{AtomicU64, Ordering};

use yima_harness::samples::{negative, subject};
use yima_schema::change::Change;
use yima_schema::derive::derive;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::rules::Rules;
use yima_schema::view::Version;

/// So many events, each of another subject, whom this process has not met.
pub(crate) fn events(count: usize) -> Vec<StoredEvent> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let event = |n: u64| negative(subject(n), format!("lab-{}", n % 8), format!("bench-{n}"));
    let first = NEXT.fetch_add(count as u64, Ordering::Relaxed);
    (first..first + count as u64).map(event).collect()
}

/// What an only event comes to.
pub(crate) fn change(event: &StoredEvent, rules: &Rules) -> Change {
    let view = derive(std::slice::from_ref(event), rules).encode();
    Change { subject: event.event.subject, version: Version::ABSENT.next(0), view, traced: None }
}

/// All bytes that are written of an event.
pub(crate) struct Encoded {
    pub(crate) event: StoredEvent,
    pub(crate) event_body: Vec<u8>,
    pub(crate) mark: Vec<u8>,
    pub(crate) version: i64,
    pub(crate) view: Vec<u8>,
    pub(crate) change: Vec<u8>,
}

impl Encoded {
    pub(crate) fn new(event: StoredEvent, rules: &Rules) -> Self {
        let change = change(&event, rules);
        Self {
            event_body: event.encode(),
            mark: EventName::of(&event).encode(),
            version: change.version.0 as i64,
            view: change.view.to_vec(),
            change: change.encode(),
            event,
        }
    }
}
