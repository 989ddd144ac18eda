//! Clients: laboratories that send events and wait for the answer, looks at every subject on every node, and phones that
//! go from node to node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use yima_read_api::cache::ViewCache;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_writer::fold::CommitOutcome;

use super::{World, subject};
use crate::chance;
use crate::clock::{self, OF_NODE, ms, wait};
use crate::network::weather;
use crate::oracle::{FIRST_SAMPLE, Look};

const PHONES: usize = 6;
const LABORATORIES: usize = 4;
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event of a subject, both by their numbers.
pub(crate) fn event(number: usize, of: usize) -> StoredEvent {
    let event = Event {
        subject: subject(of),
        agency: "lab-7".into(),
        id: format!("t-{number}"),
        revision: 0,
        document: "610102********0016".into(),
        occurred_at: Time::from_secs(FIRST_SAMPLE + number as i64),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative },
    };
    StoredEvent::new(event, clock::now())
}

impl World {
    pub(super) fn start_clients(self: &Arc<Self>, end: u64) -> Vec<JoinHandle<()>> {
        let laboratories = (0..LABORATORIES).map(|_| tokio::spawn(Arc::clone(self).laboratory(end)));
        let phones = (0..PHONES).map(|n| tokio::spawn(Arc::clone(self).phone(n % self.subjects, end)));
        laboratories.chain(phones).collect()
    }

    /// Sends events about subjects that it draws, some of them together.
    async fn laboratory(self: Arc<Self>, end: u64) {
        let pause = chance::between(100, 900);
        while ms() < end {
            wait(chance::between(pause / 2, pause * 2)).await;
            let of: BTreeSet<_> =
                (0..chance::between(1, 3)).map(|_| chance::below(self.subjects as u64) as usize).collect();
            let numbered = |of: usize| self.oracle.lock().next_event(of).map(|number| (of, number));
            let events: Vec<_> = of.into_iter().filter_map(numbered).collect();
            if !events.is_empty() {
                drop(tokio::spawn(Arc::clone(&self).send(events)));
            }
        }
    }

    /// Sends events, and again after an answer that tells nothing.
    async fn send(self: Arc<Self>, events: Vec<(usize, usize)>) {
        for _ in 0..6 {
            let writers: Vec<_> = self.nodes.lock().iter().filter(|node| node.writes).cloned().collect();
            let writer = &writers[chance::below(writers.len() as u64) as usize];
            let folder = writer.folder.lock().clone();
            if let Some(folder) = folder {
                let sent = events.iter().map(|(of, number)| event(*number, *of)).collect();
                // As the intake does it: the client's patience ends nothing.
                let commit = tokio::spawn(async move { folder.commit(sent).await });
                let answered = async {
                    let outcomes = commit.await;
                    writer.process.runs().await;
                    outcomes
                };
                if let Ok(Ok(Ok(outcomes))) = tokio::time::timeout(PATIENCE, answered).await {
                    self.acknowledge(&events, outcomes);
                    return;
                }
            }
            if chance::one_in(3) {
                return;
            }
            wait(chance::between(50, 1_500)).await;
        }
    }

    fn acknowledge(self: &Arc<Self>, events: &[(usize, usize)], outcomes: Vec<CommitOutcome>) {
        for ((of, number), outcome) in events.iter().copied().zip(outcomes) {
            let version = match outcome {
                CommitOutcome::Accepted(version) => version,
                CommitOutcome::Duplicate => Version::ABSENT,
                CommitOutcome::Conflict | CommitOutcome::Full | CommitOutcome::NotTried | CommitOutcome::Unreadable => {
                    let unexpected = format!("event {number} of subject {of} was {outcome:?}");
                    self.oracle.lock().violation.get_or_insert(unexpected);
                    continue;
                }
            };
            self.oracle.lock().acknowledge(of, number);
            if version > Version::ABSENT {
                // Who holds the event's token is shown the event by every node.
                for (node, views) in self.readers() {
                    drop(tokio::spawn(Arc::clone(self).look_once(node, views, of, version, 1 << number)));
                }
            }
        }
    }

    /// An answer from memory or the store, which must have these events.
    async fn look_once(
        self: Arc<Self>,
        node: usize,
        views: Arc<ViewCache>,
        of: usize,
        floor: Version,
        expected: u64,
    ) -> Option<(Version, u64)> {
        let answer = tokio::time::timeout(Duration::from_secs(1), views.get(subject(of), floor)).await;
        // What a killed or paused process computes nobody sees.
        if !self.readers().iter().any(|(number, running)| *number == node && Arc::ptr_eq(running, &views)) {
            return None;
        }
        let answer = answer.ok()?.ok()?;
        let mut oracle = self.oracle.lock();
        let has = oracle.check(Look { node, subject: of, floor }, &answer, clock::now(), OF_NODE[node]());
        if expected & !has != 0 {
            let gone = format!("at {} ms node {node} shows subject {of} {has:b}, who knows of {expected:b}", ms());
            oracle.violation.get_or_insert(gone);
        }
        Some((answer.entry.version(), has))
    }

    /// A phone with one session, which shows its code by whichever node.
    async fn phone(self: Arc<Self>, of: usize, end: u64) {
        let (mut floor, mut shown) = (Version::ABSENT, 0);
        while ms() < end {
            wait(chance::between(2, 60)).await;
            let readers = self.readers();
            if readers.is_empty() {
                continue;
            }
            let (node, views) = &readers[chance::below(readers.len() as u64) as usize];
            if let Some(seen) = Arc::clone(&self).look_once(*node, Arc::clone(views), of, floor, shown).await {
                (floor, shown) = seen;
            }
        }
    }

    /// Looks at every subject on every node that answers, again and again.
    pub(super) async fn look(self: &Arc<Self>, end: u64) {
        let loading: Arc<Mutex<BTreeSet<(usize, usize)>>> = Arc::default();
        let mut well = vec![None; clock::NODES];
        while ms() < end && self.oracle.lock().violation.is_none() {
            wait(self.setting.look_every_ms).await;
            self.note_health(&mut well);
            let now = clock::now();
            for (node, views) in self.readers() {
                let (node_clock, mut to_load) = (OF_NODE[node](), Vec::new());
                let mut oracle = self.oracle.lock();
                for of in 0..self.subjects {
                    let answer = views.peek(subject(of), Version::ABSENT, node_clock);
                    if let Some(answer) = &answer {
                        oracle.check(Look { node, subject: of, floor: Version::ABSENT }, answer, now, node_clock);
                    }
                    if answer.is_none_or(|answer| !answer.fresh) && loading.lock().insert((node, of)) {
                        to_load.push(of);
                    }
                }
                drop(oracle);
                for of in to_load {
                    let (world, views, loading) = (Arc::clone(self), Arc::clone(&views), Arc::clone(&loading));
                    drop(tokio::spawn(async move {
                        world.look_once(node, views, of, Version::ABSENT, 0).await;
                        wait(20).await;
                        loading.lock().remove(&(node, of));
                    }));
                }
            }
        }
    }

    /// Since when a writer has been well, which could finish what another one left.
    fn note_health(&self, well: &mut [Option<Time>]) {
        let is_calm = weather().lost == 0 || weather().lost >= 200;
        let up = (0..crate::network::REPLICAS).filter(|replica| crate::network::down_for(*replica) == 0).count();
        for node in self.nodes.lock().iter().filter(|node| node.writes) {
            let is_well = is_calm && up > 1 && node.process.is_well() && node.folder.lock().is_some();
            let since = &mut well[node.number];
            *since = is_well.then(|| since.unwrap_or_else(clock::now));
        }
        self.oracle.lock().well_since = well.iter().flatten().min().copied();
    }
}
