//! The checker: what clients were told and shown, held against what the design promises.
//!
//! Each event of a run is a test with a moment of its own, and a rules document that shows every test makes a display tell the whole set of
//! events that it was made from.

mod clients;
mod rules;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use yima_schema::time::Time;

pub use clients::{Clients, Load};
pub use rules::show_everything;
pub use settle::{BOUND, converge, options, people, settle};

/// An acknowledged event.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// Whose, by its number in the run.
    pub subject: usize,
    /// Which: the moment at which the sample was taken, in milliseconds.
    pub event: i64,
    /// The region whose writer said so.
    pub region: usize,
    /// When its answer had arrived.
    pub at: Time,
}

/// A display, or its confirmation (304).
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whose.
    pub subject: usize,
    /// The region, and the node in the run, that showed it.
    pub region: usize,
    /// See `region`.
    pub node: usize,
    /// The session, which can go from node to node of a region; its answers are recorded in order.
    pub session: usize,
    /// When it was asked, and when the answer was there.
    pub asked_at: Time,
    /// See `asked_at`.
    pub answered_at: Time,
    /// What the answer says it is true of.
    pub as_of: Time,
    /// What it says it is true of in other regions.
    pub other_as_of: Vec<(usize, Time)>,
    /// The events it was made from.
    pub events: BTreeSet<i64>,
}

/// All that a run recorded.
#[derive(Default)]
pub struct Record {
    /// In no order.
    pub acknowledged: Vec<Acknowledged>,
    /// In the order of each session.
    pub shown: Vec<Shown>,
    /// Answers that were refused (429, 503): how many.
    pub refused: usize,
    /// Events whose answer did not come or was no acknowledgement, with the moment: they may be there or not.
    pub unknown: BTreeMap<(usize, i64), Time>,
}

impl Record {
    /// Adds another client's.
    pub fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.shown.extend(other.shown);
        self.refused += other.refused;
        self.unknown.extend(other.unknown);
    }

    /// Holds the record against the promises: (a) no answer lacks an event acknowledged in its region before its `as_of`, nor one of another
    /// region before that region's; (b) no session goes back; (c) what one node has shown, all nodes of the region show after `bound`,
    /// unless they say that they are older. Also: nothing is shown that was never sent.
    ///
    /// # Panics
    /// With all that does not hold.
    pub fn check(&self, bound: Duration) {
        let mut faults = String::new();
        let mut acknowledged: BTreeMap<usize, Vec<&Acknowledged>> = BTreeMap::new();
        for event in &self.acknowledged {
            acknowledged.entry(event.subject).or_default().push(event);
        }
        let mut by_subject: BTreeMap<usize, Vec<&Shown>> = BTreeMap::new();
        for shown in &self.shown {
            by_subject.entry(shown.subject).or_default().push(shown);
        }
        for (subject, shown) in &by_subject {
            let acknowledged = acknowledged.get(subject).map_or(&[][..], |events| events);
            lacking(acknowledged, shown, &mut faults);
            going_back(shown, &mut faults);
            not_spreading(shown, bound, &mut faults);
            for one in shown {
                let is_known = |event: &i64| {
                    acknowledged.iter().any(|a| a.event == *event) || self.unknown.contains_key(&(*subject, *event))
                };
                if let Some(event) = one.events.iter().find(|event| !is_known(event)) {
                    let _ = writeln!(faults, "subject {subject}: shows {event}, which nobody has sent");
                }
            }
        }
        assert!(faults.is_empty(), "{faults}");
    }
}

/// (a)
fn lacking(acknowledged: &[&Acknowledged], shown: &[&Shown], faults: &mut String) {
    for one in shown {
        for event in acknowledged {
            let as_of = if event.region == one.region {
                Some(one.as_of)
            } else {
                one.other_as_of.iter().find(|(region, _)| *region == event.region).map(|(_, as_of)| *as_of)
            };
            if as_of.is_some_and(|as_of| event.at < as_of) && !one.events.contains(&event.event) {
                let _ = writeln!(faults, "(a) lacks {event:?}: {one:?}");
            }
        }
    }
}

/// (b)
fn going_back(shown: &[&Shown], faults: &mut String) {
    let mut last: BTreeMap<usize, &Shown> = BTreeMap::new();
    for one in shown {
        if let Some(before) = last.insert(one.session, one)
            && !before.events.is_subset(&one.events)
        {
            let _ = writeln!(faults, "(b) goes back: {before:?} and then {one:?}");
        }
    }
}

/// (c)
fn not_spreading(shown: &[&Shown], bound: Duration, faults: &mut String) {
    let mut by_time = shown.to_vec();
    by_time.sort_by_key(|one| one.answered_at);
    for region in by_time.iter().map(|one| one.region).collect::<BTreeSet<_>>() {
        let of_region: Vec<&&Shown> = by_time.iter().filter(|one| one.region == region).collect();
        for later in &of_region {
            let long_before =
                of_region.iter().filter(|one| one.answered_at.plus(bound) < later.asked_at.min(later.as_of));
            if let Some(before) = long_before.rev().find(|one| !one.events.is_subset(&later.events)) {
                let _ = writeln!(faults, "(c) not shown everywhere: {before:?} and long after {later:?}");
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

    fn shown(node: usize, session: usize, at: i64, as_of: i64, events: &[i64]) -> Shown {
        Shown {
            subject: 0,
            region: 0,
            node,
            session,
            asked_at: t(at),
            answered_at: t(at),
            as_of: t(as_of),
            other_as_of: vec![(1, t(as_of - 5))],
            events: events.iter().copied().collect(),
        }
    }

    fn record(acknowledged: &[(i64, usize, i64)], shown: Vec<Shown>) -> Record {
        let acknowledged = acknowledged.iter().map(|(event, region, at)| Acknowledged {
            subject: 0,
            event: *event,
            region: *region,
            at: t(*at),
        });
        Record { acknowledged: acknowledged.collect(), shown, unknown: [((0, 9), t(0))].into(), ..Record::default() }
    }

    fn faults(record: &Record) -> String {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record.check(BOUND)));
        caught.err().map_or_else(String::new, |fault| fault.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn what_is_promised_passes() {
        let good = record(
            &[(1, 0, 10), (2, 1, 20), (3, 0, 30)],
            vec![shown(0, 0, 12, 11, &[1]), shown(1, 0, 22, 21, &[1, 9]), shown(0, 0, 32, 29, &[1, 2, 9])],
        );
        assert_eq!(faults(&good), "");
    }

    #[test]
    fn each_broken_promise_is_told() {
        let lacks = record(&[(1, 0, 10), (2, 0, 11)], vec![shown(0, 0, 13, 12, &[1])]);
        let lacks_anothers = record(&[(1, 1, 10)], vec![shown(0, 0, 20, 16, &[])]);
        let goes_back = record(&[(1, 0, 10)], vec![shown(0, 0, 12, 9, &[1]), shown(1, 0, 13, 9, &[])]);
        let stays_behind = record(&[(1, 0, 40)], vec![shown(0, 0, 12, 9, &[1]), shown(1, 1, 20, 19, &[])]);
        let invents = record(&[], vec![shown(0, 0, 12, 9, &[4])]);
        for (record, fault) in [
            (lacks, "(a)"),
            (lacks_anothers, "(a)"),
            (goes_back, "(b)"),
            (stays_behind, "(c)"),
            (invents, "nobody has sent"),
        ] {
            let told = faults(&record);
            assert!(told.contains(fault), "{fault} is not in {told:?}");
        }
    }
}
