//! `derive(events, rules)`: the one place where events become a view. It has no clock, and its result does not depend
//! on the order, repetition or batching of events.

mod guardianships;
mod phones;
mod sessions;
mod timeline;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Colour, Event, EventData, StoredEvent, TestKind, TestOutcome};
use crate::rules::Rules;
use crate::time::Time;
use crate::view::{ConclusiveTest, EventSet, TestShown, Vaccination, View};

/// Raised with every change of this module that changes a view. Views of an earlier version are derived again, in the
/// background. 1: doses by their intervals, and conclusive tests.
pub const DERIVE_VERSION: u32 = 1;

/// Derives a subject's view from all of its events.
pub fn derive(events: &[StoredEvent], rules: &Rules) -> View {
    let distinct: BTreeMap<_, &StoredEvent> = events.iter().map(|e| (e.key(), e)).collect();
    let set = distinct.values().fold(EventSet::default(), |set, e| set.with(e.hash));
    let distinct: Vec<_> = distinct.into_values().collect();
    let phones = phones::phones(&distinct);
    let ended_sessions = sessions::ended(&distinct, phones.room_for_sessions());
    let subject = events.first().map(|e| e.event.subject);
    let stated = distinct.iter().copied().filter(|e| e.event.is_of_an_agency()).collect::<Vec<_>>();
    let (effective, conflict) = effective(&stated, rules);
    let guardianships = guardianships::guardianships(&distinct, &effective);
    // From here on only events about health.
    let events = &*about_health(events);
    View {
        subject,
        rules_version: rules.version,
        events: set,
        document: events.iter().map(|e| &e.event.document).min().cloned(),
        name: identity(&effective),
        tests: tests_shown(&effective, rules),
        vaccination: vaccination(&effective, rules),
        timeline: timeline::timeline(events, &effective, rules),
        conflict,
        derive_version: DERIVE_VERSION,
        conclusive: conclusive(&effective),
        ended_sessions,
        phones,
        guardianships,
    }
}

/// The events about health. Copied only if there are others.
fn about_health(events: &[StoredEvent]) -> Cow<'_, [StoredEvent]> {
    if events.iter().all(|stored| stored.event.data.is_about_health()) {
        Cow::Borrowed(events)
    } else {
        Cow::Owned(events.iter().filter(|stored| stored.event.data.is_about_health()).cloned().collect())
    }
}

/// The effective events: of each (agency, id) the highest revision, in it the highest rank, of two contents of that the
/// more restrictive one, without the retracted events. Also whether there were two contents.
fn effective<'a>(distinct: &[&'a StoredEvent], rules: &Rules) -> (Vec<&'a Event>, bool) {
    let mut newest: BTreeMap<(&str, &str), Vec<&StoredEvent>> = BTreeMap::new();
    for stored in distinct {
        let same_id = newest.entry((&stored.event.agency, &stored.event.id)).or_default();
        match same_id.first().map(|other| other.version().cmp(&stored.version())) {
            Some(Ordering::Greater) => continue,
            Some(Ordering::Less) => same_id.clear(),
            Some(Ordering::Equal) | None => {}
        }
        same_id.push(stored);
    }
    let conflict = newest.values().any(|contents| contents.len() > 1);
    let standing: Vec<&Event> = newest
        .into_values()
        .filter_map(|contents| contents.into_iter().max_by_key(|e| (restriction(&e.event, rules), e.hash)))
        .map(|stored| &stored.event)
        .collect();
    let retracted: BTreeSet<(&str, &str)> = standing
        .iter()
        .filter_map(|event| match &event.data {
            EventData::Retraction { event_id, .. } => Some((event.agency.as_str(), event_id.as_str())),
            EventData::Identity { .. }
            | EventData::TestResult { .. }
            | EventData::Vaccination { .. }
            | EventData::ColourAssignment { .. }
            | EventData::SessionEnd { .. }
            | EventData::Phone { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => None,
        })
        .collect();
    let stands = |e: &&Event| {
        matches!(e.data, EventData::Retraction { .. }) || !retracted.contains(&(e.agency.as_str(), e.id.as_str()))
    };
    (standing.into_iter().filter(stands).collect(), conflict)
}

/// How much an event restricts: by its colour, then its duration, then its test result. A retraction ranks lowest,
/// since it may lift a restriction.
fn restriction(event: &Event, rules: &Rules) -> (u8, Colour, Time, TestOutcome) {
    match &event.data {
        EventData::Retraction { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => (0, Colour::Green, Time::MIN, TestOutcome::Negative),
        EventData::Vaccination { .. } => (1, Colour::Green, Time::MIN, TestOutcome::Negative),
        EventData::TestResult { test, result: TestOutcome::Positive } => {
            let rule = rules.positive(*test);
            (1, rule.colour, event.occurred_at.plus(rule.lasts()), TestOutcome::Positive)
        }
        EventData::TestResult { result, .. } => (1, Colour::Green, Time::MIN, *result),
        EventData::ColourAssignment { colour, until, .. } => {
            (1, *colour, until.unwrap_or(Time::MAX), TestOutcome::Negative)
        }
        EventData::Identity { deceased_at, .. } => {
            (1, deceased_at.map_or(Colour::Green, |_| Colour::None), Time::MAX, TestOutcome::Negative)
        }
    }
}

/// The masked name of the newest identity.
fn identity(effective: &[&Event]) -> Option<String> {
    let identities = effective.iter().filter_map(|e| match &e.data {
        EventData::Identity { name, .. } => Some((e.occurred_at, e.revision, &e.agency, &e.id, name)),
        EventData::TestResult { .. }
        | EventData::Vaccination { .. }
        | EventData::ColourAssignment { .. }
        | EventData::Retraction { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => None,
    });
    identities.max().map(|(.., name)| name.clone())
}

/// The newest results of each kind of test; all kinds together, newest first.
fn tests_shown(effective: &[&Event], rules: &Rules) -> Vec<TestShown> {
    let mut tests: Vec<_> = effective
        .iter()
        .filter_map(|e| match e.data {
            EventData::TestResult { test, result } => Some((e.occurred_at, result, test, &e.agency, &e.id)),
            EventData::Identity { .. }
            | EventData::Vaccination { .. }
            | EventData::ColourAssignment { .. }
            | EventData::Retraction { .. }
            | EventData::SessionEnd { .. }
            | EventData::Phone { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => None,
        })
        .collect();
    tests.sort_unstable_by_key(|t| Reverse(*t));
    // A sample that several systems report is one test.
    tests.dedup_by_key(|(sampled_at, result, test, ..)| (*sampled_at, *result, *test));
    let mut shown: BTreeMap<TestKind, usize> = BTreeMap::new();
    tests.retain(|(_, _, test, ..)| {
        let of_kind = shown.entry(*test).or_default();
        *of_kind += 1;
        *of_kind <= rules.tests.shown
    });
    let show = |(sampled_at, result, test, agency, _): (_, _, _, &String, _)| TestShown {
        test,
        result,
        sampled_at,
        agency: agency.clone(),
    };
    tests.into_iter().map(show).collect()
}

/// The newest conclusive test of each kind; of two at one moment the more restrictive one.
fn conclusive(effective: &[&Event]) -> Vec<ConclusiveTest> {
    let mut newest: BTreeMap<TestKind, (Time, TestOutcome)> = BTreeMap::new();
    for event in effective {
        if let EventData::TestResult { test, result } = event.data
            && result.is_conclusive()
        {
            let known = newest.entry(test).or_insert((event.occurred_at, result));
            *known = (*known).max((event.occurred_at, result));
        }
    }
    let of_kind = |(test, (sampled_at, result))| ConclusiveTest { test, result, sampled_at };
    newest.into_iter().map(of_kind).collect()
}

/// Counts doses in the order of their times. Two doses within the minimal interval may be one that two agencies report,
/// and a stated number is a lower bound: earlier doses may never have been sent.
fn vaccination(effective: &[&Event], rules: &Rules) -> Vaccination {
    let mut given: Vec<_> = effective
        .iter()
        .filter(|e| e.occurred_at >= rules.disease.since)
        .filter_map(|e| match &e.data {
            EventData::Vaccination { vaccine, dose } if rules.vaccination.covid_19.contains(vaccine) => {
                Some((e.occurred_at, *dose, vaccine))
            }
            EventData::Vaccination { .. }
            | EventData::Identity { .. }
            | EventData::TestResult { .. }
            | EventData::ColourAssignment { .. }
            | EventData::Retraction { .. }
            | EventData::SessionEnd { .. }
            | EventData::Phone { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => None,
        })
        .collect();
    given.sort_unstable();
    let (mut doses, mut raised_at) = (0u8, Time::MIN);
    for (at, stated, _) in &given {
        let is_another = at.since(raised_at) >= rules.vaccination.min_interval();
        let counted = doses.saturating_add(u8::from(is_another)).max(stated.unwrap_or(0));
        if counted > doses {
            (doses, raised_at) = (counted, *at);
        }
    }
    let single = given.iter().any(|(.., vaccine)| rules.vaccination.single_dose.contains(*vaccine));
    Vaccination {
        doses,
        complete: single || doses >= rules.vaccination.complete_at_doses,
        last_at: given.last().map(|(at, ..)| *at),
    }
}
