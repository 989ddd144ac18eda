//! The oracle: knows what was acknowledged, shown and known when, and checks every answer against the promises of
//! `docs/consistency.md`, as the checker of whole processes does.
//!
//! Each event of a run is a test with a time of its own, and the rules show every test: so a view says which events it
//! was derived from. A subject has at most 63 events: a set of them is a word.

use yima_read_api::cache::{Answer, Entry};
use yima_schema::time::Time;
use yima_schema::view::Version;

use crate::chance;
use crate::clock;

/// The most events of a subject.
pub const EVENTS: usize = 63;
/// After one node has shown an event, the others show it within this time while a writer is well, as in the tests of
/// whole processes.
pub const BOUND_MS: i64 = 10_000;
/// A look counts if its subject changed at most this long before.
const COUNTED_MS: i64 = 60_000;
/// The sample of event 0 was taken then; of each other a second after the one before.
pub const FIRST_SAMPLE: i64 = 1_789_990_000;

const UNKNOWN: u64 = u64::MAX;

/// Sets of events by the moment at which they were complete.
#[derive(Default)]
struct History(Vec<(Time, u64)>);

impl History {
    fn add(&mut self, at: Time, events: u64) {
        let all = self.all();
        if all | events != all {
            self.0.push((at, all | events));
        }
    }

    fn all(&self) -> u64 {
        self.0.last().map_or(0, |(_, events)| *events)
    }

    /// The events added before a moment.
    fn before(&self, moment: Time) -> u64 {
        self.0.iter().rev().find(|(at, _)| *at < moment).map_or(0, |(_, events)| *events)
    }
}

#[derive(Default)]
struct Subject {
    acknowledged: History,
    shown: History,
    /// The events of each version, by its number; [`UNKNOWN`] before it was seen.
    versions: Vec<u64>,
    sent: u64,
}

/// What a node has shown and what it knows, by subject.
#[derive(Clone, Default)]
struct OfNode {
    shown: Vec<u64>,
    known: Vec<Version>,
}

/// How an answer was asked for.
#[derive(Clone, Copy)]
pub struct Look {
    /// The node that answered.
    pub node: usize,
    /// The subject.
    pub subject: usize,
    /// The lowest version that may be answered.
    pub floor: Version,
}

/// See the module.
pub struct Oracle {
    subjects: Vec<Subject>,
    nodes: Vec<OfNode>,
    max_lag_ms: i64,
    /// One process: what is acknowledged is in every answer.
    is_one_process: bool,
    /// Since when a writer has been able to finish what another one left.
    pub well_since: Option<Time>,
    /// Looks that count.
    pub pairs: u64,
    /// All answers.
    pub answers: u64,
    /// Acknowledgements.
    pub acknowledged: u64,
    /// The first broken promise.
    pub violation: Option<String>,
}

impl Oracle {
    /// An oracle for so many subjects and nodes.
    pub fn new(subjects: usize, nodes: usize, max_lag_ms: i64, is_one_process: bool) -> Self {
        let of_node = OfNode { shown: vec![0; subjects], known: vec![Version::ABSENT; subjects] };
        Self {
            subjects: (0..subjects).map(|_| Subject::default()).collect(),
            nodes: vec![of_node; nodes],
            max_lag_ms,
            is_one_process,
            well_since: None,
            pairs: 0,
            answers: 0,
            acknowledged: 0,
            violation: None,
        }
    }

    /// The number of a subject's next event, as long as there is room.
    pub fn next_event(&mut self, subject: usize) -> Option<usize> {
        let sent = &mut self.subjects[subject].sent;
        ((*sent as usize) < EVENTS).then(|| {
            *sent += 1;
            *sent as usize - 1
        })
    }

    /// An event is acknowledged now.
    pub fn acknowledge(&mut self, subject: usize, event: usize) {
        self.acknowledged += 1;
        chance::note(clock::ms() << 16 | (subject << 8 | event) as u64);
        self.subjects[subject].acknowledged.add(clock::now(), 1 << event);
    }

    /// A node has received a version from the store.
    pub fn learn(&mut self, node: usize, subject: usize, version: Version) {
        let known = &mut self.nodes[node].known[subject];
        *known = (*known).max(version);
    }

    /// A node starts with nothing.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node].shown.fill(0);
        self.nodes[node].known.fill(Version::ABSENT);
    }

    /// All that was acknowledged of a subject.
    pub fn all_acknowledged(&self, subject: usize) -> u64 {
        self.subjects[subject].acknowledged.all()
    }

    /// Checks an answer; returns its events.
    pub fn check(&mut self, look: Look, answer: &Answer, now: Time, node_clock: Time) -> u64 {
        let Look { node, subject, floor } = look;
        let version = answer.entry.version();
        let has = self.contents(subject, &answer.entry);
        let Answer { as_of, fresh, .. } = *answer;
        let (of_subject, of_node) = (&mut self.subjects[subject], &mut self.nodes[node]);
        self.answers += 1;
        if of_subject.acknowledged.0.last().is_some_and(|(at, _)| now.as_millis() - at.as_millis() <= COUNTED_MS) {
            self.pairs += 1;
        }
        let acknowledged =
            if self.is_one_process { of_subject.acknowledged.all() } else { of_subject.acknowledged.before(as_of) };
        let cutoff = now.min(as_of).as_millis() - BOUND_MS;
        let is_due = self.well_since.is_some_and(|since| since.as_millis() <= cutoff);
        let shown = if is_due { of_subject.shown.before(Time::from_millis(cutoff)) } else { 0 };
        let known = of_node.known[subject];
        let age_ms = node_clock.as_millis() - as_of.as_millis();
        // A clock that is ahead alone claims nothing too much; one process has one clock.
        let is_ahead = if self.is_one_process { age_ms < -self.max_lag_ms } else { as_of > now };
        let broken = [
            (acknowledged & !has != 0, "lacks an acknowledged event"),
            (shown & !has != 0, "lacks what another node showed long ago"),
            (of_node.shown[subject] & !has != 0, "goes back at one node"),
            (version < floor, "is below the client's floor"),
            (version < known, "is known to be superseded"),
            (fresh && age_ms > self.max_lag_ms, "is marked fresh and is stale"),
            (is_ahead, "claims a moment that has not come"),
        ];
        if let Some((_, promise)) = broken.into_iter().find(|(is_broken, _)| *is_broken) {
            let violation = || {
                format!(
                    "at {} ms node {node} answers about subject {subject} {promise}: version {version:?}, events {has:b}, \
                     as of {} ms, fresh {fresh}, acknowledged {acknowledged:b}, shown {shown:b}, known {known:?}",
                    clock::ms(),
                    now.as_millis() - as_of.as_millis(),
                )
            };
            self.violation.get_or_insert_with(violation);
        }
        of_node.shown[subject] |= has;
        of_subject.shown.add(now, has);
        has
    }

    /// The events that an entry was derived from. What a version has, the next one has too.
    fn contents(&mut self, subject: usize, entry: &Entry) -> u64 {
        if entry.is_absent() {
            return 0;
        }
        let number = (entry.version().0 & 0xffff_ffff_ffff) as usize;
        let versions = &mut self.subjects[subject].versions;
        if number >= versions.len() {
            versions.resize(number + 1, UNKNOWN);
        }
        if versions[number] != UNKNOWN {
            return versions[number];
        }
        let view = entry.view();
        let sample = |at: Time| at.as_secs() - FIRST_SAMPLE;
        let has = view.tests.iter().fold(0, |set, test| set | 1u64 << sample(test.sampled_at));
        versions[number] = has;
        let goes_back = versions[..number].iter().any(|before| *before != UNKNOWN && before & !has != 0)
            || versions[number..].iter().any(|after| has & !after != 0);
        let is_other = view.subject != Some(crate::world::subject(subject));
        if goes_back || is_other || has.count_ones() != view.events.count {
            let violation =
                || format!("at {} ms version {number} of subject {subject} is not above others", clock::ms());
            self.violation.get_or_insert_with(violation);
        }
        has
    }
}
