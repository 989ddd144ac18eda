//! Events of new subjects, and the bytes of each for the driver alone.

use std::sync::atomic::{AtomicU64, Ordering};

use yima_harness::samples::{change, negative_test, subject};
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::rules::Rules;
use yima_schema::view::Version;

/// Events of one subject each; no two calls return the same subject.
pub(crate) fn events(count: usize) -> Vec<StoredEvent> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let event = |n: u64| negative_test(subject(n), format!("lab-{}", n % 8), format!("bench-{n}"));
    let first = NEXT.fetch_add(count as u64, Ordering::Relaxed);
    (first..first + count as u64).map(event).collect()
}

/// The first change of a subject with this event.
pub(crate) fn first_change(event: &StoredEvent, rules: &Rules) -> Change {
    change(event, Version::ABSENT.next(0), rules)
}

/// Everything that the fold of an event writes.
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
        let change = first_change(&event, rules);
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
