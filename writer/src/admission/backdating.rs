//! Old negative results: two of them, invented, would end another agency's positive.

use std::collections::BTreeSet;

use yima_schema::derive::derive;
use yima_schema::event::{Event, EventData, StoredEvent, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::time::{HOUR, Time};

/// Whether an event is a negative result whose sample is older than `backdate_h`.
pub(super) fn is_backdated(event: &Event, backdate_h: u32, now: Time) -> bool {
    let is_negative = matches!(event.data, EventData::TestResult { result: TestOutcome::Negative, .. });
    is_negative && event.occurred_at < now.minus(HOUR * backdate_h)
}

/// Whether a subject with the events `known` would be less restricted by another agency's positive results, at `now` or
/// later, once `event` is added.
pub(super) fn clears_positive_of_another(known: &[StoredEvent], event: &StoredEvent, rules: &Rules, now: Time) -> bool {
    let agency = &event.event.agency;
    let tests: Vec<StoredEvent> = known.iter().filter_map(|known| as_test_of_others(known, agency)).collect();
    let is_positive =
        |stored: &StoredEvent| matches!(stored.event.data, EventData::TestResult { result: TestOutcome::Positive, .. });
    if !tests.iter().any(is_positive) {
        return false;
    }
    let without = derive(&tests, rules);
    let with = derive(&[tests.as_slice(), std::slice::from_ref(event)].concat(), rules);
    let segments = without.timeline.iter().chain(&with.timeline).map(|segment| segment.from);
    let moments: BTreeSet<Time> = segments.filter(|from| *from > now).chain([now]).collect();
    moments.into_iter().any(|at| with.colour_at(at).colour() < without.colour_at(at).colour())
}

/// A test or a retraction. Decisions, and the sender's own positives, could hide that another agency's positive ends
/// earlier: they are left out, or made inconclusive.
fn as_test_of_others(stored: &StoredEvent, agency: &str) -> Option<StoredEvent> {
    match &stored.event.data {
        EventData::TestResult { test, result: TestOutcome::Positive } if stored.event.agency == agency => {
            let data = EventData::TestResult { test: *test, result: TestOutcome::Inconclusive };
            Some(StoredEvent::new(Event { data, ..stored.event.clone() }, stored.received_at))
        }
        EventData::TestResult { .. } | EventData::Retraction { .. } => Some(stored.clone()),
        EventData::Identity { .. }
        | EventData::Vaccination { .. }
        | EventData::ColourAssignment { .. }
        | EventData::SessionEnd { .. } => None,
    }
}
