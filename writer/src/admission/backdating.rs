//! Old negative results: two of them, invented, would end another agency's positive.

use std::collections::{BTreeSet, HashSet};

use yima_schema::derive::derive;
use yima_schema::event::{Event, EventData, StoredEvent, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::time::{HOUR, Time};
use yima_schema::view::View;

/// Whether an event is a negative result whose sample is older than `backdate_h`.
pub(super) fn is_backdated(event: &Event, backdate_h: u32, now: Time) -> bool {
    let is_negative = matches!(event.data, EventData::TestResult { result: TestOutcome::Negative, .. });
    is_negative && event.occurred_at < now.minus(HOUR * backdate_h)
}

/// Of each of an agency's `events` about one subject: whether another agency's positive results would restrict the
/// subject less, at `now` or later, once it is added to the events `known` and to those before it that do not.
pub(super) fn which_clear_positives_of_another(
    known: &[StoredEvent],
    events: &[StoredEvent],
    rules: &Rules,
    now: Time,
) -> Vec<bool> {
    let Some(agency) = events.first().map(|event| event.event.agency.as_str()) else { return Vec::new() };
    let is_positive = |data: &EventData| matches!(data, EventData::TestResult { result: TestOutcome::Positive, .. });
    // Mostly there is none, and nothing has to be derived.
    if !known.iter().any(|known| known.event.agency != agency && is_positive(&known.event.data)) {
        return vec![false; events.len()];
    }
    let mut tests: Vec<StoredEvent> = known.iter().filter_map(|known| as_test_of_others(known, agency)).collect();
    let without = derive(&tests, rules);
    let clears = |with: &View| {
        let segments = without.timeline.iter().chain(&with.timeline).map(|segment| segment.from);
        let moments: BTreeSet<Time> = segments.filter(|from| *from > now).chain([now]).collect();
        moments.into_iter().any(|at| with.colour_at(at).colour() < without.colour_at(at).colour())
    };
    // New negative results only end a restriction earlier: if all together clear nothing, none of them does. A version
    // of a known one could hide that another one clears, and then not be taken.
    let mut ids: HashSet<&str> =
        known.iter().filter(|known| known.event.agency == agency).map(|k| &*k.event.id).collect();
    if events.iter().all(|event| ids.insert(&event.event.id))
        && !clears(&derive(&[tests.as_slice(), events].concat(), rules))
    {
        return vec![false; events.len()];
    }
    let judge = |event: &StoredEvent| {
        tests.push(event.clone());
        let clears = clears(&derive(&tests, rules));
        if clears {
            tests.pop();
        }
        clears
    };
    events.iter().map(judge).collect()
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
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => None,
    }
}
