//! The checker: compares the acknowledgements and displays that clients received with the promises of the design.
//!
//! Each event of a run is a test with a time of its own, and the rules document shows every test: so a display shows
//! the whole set of events that its view was derived from.

mod clients;
mod quiesce;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use yima_schema::time::Time;

pub use clients::{Clients, Workload};
pub use quiesce::{BOUND, converge, options, patient_options, people, quiesce};
pub use rules::show_everything;

/// An acknowledged event.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// The subject's number in the run.
    pub subject: usize,
    /// The event, by the time at which its sample was taken, in milliseconds.
    pub event: i64,
    /// The region of the writer that acknowledged it.
    pub region: usize,
    /// When the acknowledgement had arrived.
    pub at: Time,
}

/// A display that a client received, or its confirmation (304).
#[derive(Clone, Debug)]
pub struct ShownDisplay {
    /// The subject's number in the run.
    pub subject: usize,
    /// The region of the node that sent it.
    pub region: usize,
    /// That node's number in the run.
    pub node: usize,
    /// The session, which may use every node of a region; its answers are recorded in order.
    pub session: usize,
    /// When the request was sent.
    pub requested_at: Time,
    /// When the answer had arrived.
    pub answered_at: Time,
    /// The answer's `as_of` for its own region.
    pub as_of: Time,
    /// The answer's `as_of` for each other region.
    pub other_as_of: Vec<(usize, Time)>,
    /// The events that the view was derived from.
    pub events: BTreeSet<i64>,
}

/// Everything that the clients of a run recorded.
#[derive(Default)]
pub struct Record {
    /// In no particular order.
    pub acknowledged: Vec<Acknowledged>,
    /// In the order of each session.
    pub shown: Vec<ShownDisplay>,
    /// Number of displays that were refused (429, 503).
    pub refused: usize,
    /// Events whose request ended without an acknowledgement, and when: they may be stored or not.
    pub unknown: BTreeMap<(usize, i64), Time>,
}

impl Record {
    /// Adds another client's record.
    pub fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.shown.extend(other.shown);
        self.refused += other.refused;
        self.unknown.extend(other.unknown);
    }

    /// Checks the promises.
    ///
    /// (a) No display lacks an event that its region acknowledged before its `as_of`, nor one that another region
    /// acknowledged before the `as_of` for that region. (b) No session gets a display with an event and later one
    /// without it. (c) After one node of a region has shown an event, every node of the region shows it after `bound`,
    /// unless its `as_of` is older. Also: no display has an event that no client sent.
    ///
    /// # Panics
    /// With every violation.
    pub fn check(&self, bound: Duration) {
        let mut violations = String::new();
        let mut acknowledged: BTreeMap<usize, Vec<&Acknowledged>> = BTreeMap::new();
        for event in &self.acknowledged {
            acknowledged.entry(event.subject).or_default().push(event);
        }
        let mut by_subject: BTreeMap<usize, Vec<&ShownDisplay>> = BTreeMap::new();
        for shown in &self.shown {
            by_subject.entry(shown.subject).or_default().push(shown);
        }
        for (subject, shown) in &by_subject {
            let acknowledged = acknowledged.get(subject).map_or(&[][..], |events| events);
            check_completeness(acknowledged, shown, &mut violations);
            check_sessions(shown, &mut violations);
            check_spreading(shown, bound, &mut violations);
            for one in shown {
                let is_known = |event: &i64| {
                    acknowledged.iter().any(|a| a.event == *event) || self.unknown.contains_key(&(*subject, *event))
                };
                if let Some(event) = one.events.iter().find(|event| !is_known(event)) {
                    let _ = writeln!(violations, "subject {subject}: shows {event}, which no client has sent");
                }
            }
        }
        assert!(violations.is_empty(), "{violations}");
    }
}

/// Promise (a).
fn check_completeness(acknowledged: &[&Acknowledged], shown: &[&ShownDisplay], violations: &mut String) {
    for one in shown {
        for event in acknowledged {
            let as_of = if event.region == one.region {
                Some(one.as_of)
            } else {
                one.other_as_of.iter().find(|(region, _)| *region == event.region).map(|(_, as_of)| *as_of)
            };
            if as_of.is_some_and(|as_of| event.at < as_of) && !one.events.contains(&event.event) {
                let _ = writeln!(violations, "(a) lacks {event:?}: {one:?}");
            }
        }
    }
}

/// Promise (b).
fn check_sessions(shown: &[&ShownDisplay], violations: &mut String) {
    let mut last: BTreeMap<usize, &ShownDisplay> = BTreeMap::new();
    for one in shown {
        if let Some(before) = last.insert(one.session, one)
            && !before.events.is_subset(&one.events)
        {
            let _ = writeln!(violations, "(b) goes back: {before:?} and then {one:?}");
        }
    }
}

/// Promise (c).
fn check_spreading(shown: &[&ShownDisplay], bound: Duration, violations: &mut String) {
    let mut by_time = shown.to_vec();
    by_time.sort_by_key(|one| one.answered_at);
    for region in by_time.iter().map(|one| one.region).collect::<BTreeSet<_>>() {
        let of_region: Vec<&&ShownDisplay> = by_time.iter().filter(|one| one.region == region).collect();
        for later in &of_region {
            let long_before =
                of_region.iter().filter(|one| one.answered_at.plus(bound) < later.requested_at.min(later.as_of));
            if let Some(before) = long_before.rev().find(|one| !one.events.is_subset(&later.events)) {
                let _ = writeln!(violations, "(c) not shown everywhere: {before:?} and long after {later:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);

    fn t(s: i64) -> Time {
        Time::from_secs(1_000_000 + s)
    }

    fn shown(node: usize, session: usize, at: i64, as_of: i64, events: &[i64]) -> ShownDisplay {
        ShownDisplay {
            subject: 0,
            region: 0,
            node,
            session,
            requested_at: t(at),
            answered_at: t(at),
            as_of: t(as_of),
            other_as_of: vec![(1, t(as_of - 5))],
            events: events.iter().copied().collect(),
        }
    }

    fn record(acknowledged: &[(i64, usize, i64)], shown: Vec<ShownDisplay>) -> Record {
        let acknowledged = acknowledged.iter().map(|(event, region, at)| Acknowledged {
            subject: 0,
            event: *event,
            region: *region,
            at: t(*at),
        });
        Record { acknowledged: acknowledged.collect(), shown, unknown: [((0, 9), t(0))].into(), ..Record::default() }
    }

    fn violations(record: &Record) -> String {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record.check(BOUND)));
        caught.err().map_or_else(String::new, |panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn a_record_that_keeps_the_promises_passes() {
        let kept = record(
            &[(1, 0, 10), (2, 1, 20), (3, 0, 30)],
            vec![shown(0, 0, 12, 11, &[1]), shown(1, 0, 22, 21, &[1, 9]), shown(0, 0, 32, 29, &[1, 2, 9])],
        );
        assert_eq!(violations(&kept), "");
    }

    #[test]
    fn each_broken_promise_is_reported() {
        let lacks = record(&[(1, 0, 10), (2, 0, 11)], vec![shown(0, 0, 13, 12, &[1])]);
        let lacks_other_region = record(&[(1, 1, 10)], vec![shown(0, 0, 20, 16, &[])]);
        let goes_back = record(&[(1, 0, 10)], vec![shown(0, 0, 12, 9, &[1]), shown(1, 0, 13, 9, &[])]);
        let stays_behind = record(&[(1, 0, 40)], vec![shown(0, 0, 12, 9, &[1]), shown(1, 1, 20, 19, &[])]);
        let invents = record(&[], vec![shown(0, 0, 12, 9, &[4])]);
        for (record, violation) in [
            (lacks, "(a)"),
            (lacks_other_region, "(a)"),
            (goes_back, "(b)"),
            (stays_behind, "(c)"),
            (invents, "no client has sent"),
        ] {
            let found = violations(&record);
            assert!(found.contains(violation), "{violation} is not in {found:?}");
        }
    }
}
