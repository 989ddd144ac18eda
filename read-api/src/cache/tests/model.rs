//! Random interleavings of writes, polls, hints, lookups, evictions, failures, expiries, crashes and worse on two nodes of a
//! region, checked against an oracle that knows what was acknowledged when.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use yima_store::StreamId;

use super::disk::{options, start};
use super::store::{TestStore, advance, now, subject};
use super::*;
use crate::cache::disk::DiskError;

#[derive(Clone, Debug)]
enum Step {
    /// Write, publish, acknowledge.
    Write(u8),
    /// Set a view; its publication (and acknowledgement) comes with the next write of the subject.
    Set(u8),
    /// A lookup at a node, without a floor or with the version that a phone was shown.
    Lookup(usize, u8),
    LookupWithFloor(usize, u8),
    Poll(usize),
    /// A hint, right or wrong, at a stream.
    Hint(usize, u32),
    Evict(usize, u8),
    Fail(bool),
    /// Every change expires.
    Expire,
    /// Another writer's stream takes over.
    OpenStream,
    /// Another writer opens a stream, writes, and seals it.
    BriefWriter(u8),
    /// The region is rebuilt.
    Rebuild,
    Wait(i64),
    /// The process is killed and started.
    Crash(usize),
    /// A write to the disk tier fails.
    LoseDisk(usize),
    /// A copy of the disk; killed and started on that copy, as after a power cut that took the writes since.
    CopyDisk(usize),
    Rewind(usize),
    /// Both nodes are killed and started on each other's disk.
    Swap,
    /// Killed and started on an empty disk.
    Delete(usize),
}

fn step(may_crash: u32) -> impl Strategy<Value = Step> {
    let node = || 0..2usize;
    let subject = || 0..4u8;
    prop_oneof![
        6 => subject().prop_map(Step::Write),
        2 => subject().prop_map(Step::Set),
        8 => (node(), subject()).prop_map(|(node, n)| Step::Lookup(node, n)),
        4 => (node(), subject()).prop_map(|(node, n)| Step::LookupWithFloor(node, n)),
        6 => node().prop_map(Step::Poll),
        4 => (node(), 0..5u32).prop_map(|(node, stream)| Step::Hint(node, stream)),
        2 => (node(), subject()).prop_map(|(node, n)| Step::Evict(node, n)),
        2 => any::<bool>().prop_map(Step::Fail),
        1 => Just(Step::Expire),
        1 => Just(Step::OpenStream),
        1 => subject().prop_map(Step::BriefWriter),
        1 => Just(Step::Rebuild),
        4 => prop_oneof![Just(1i64), Just(500), Just(3_000), Just(50_000_000), Just(700_000_000)].prop_map(Step::Wait),
        may_crash => prop_oneof![
            3 => node().prop_map(Step::Crash),
            1 => node().prop_map(Step::LoseDisk),
            1 => node().prop_map(Step::CopyDisk),
            1 => node().prop_map(Step::Rewind),
            1 => Just(Step::Swap),
            1 => node().prop_map(Step::Delete),
        ],
    ]
}

struct Node {
    directory: TempDir,
    copied: Option<TempDir>,
    /// `None` for a moment, while it is down.
    up: Option<(Arc<ViewCache>, Follower)>,
    /// The versions that it has answered with, below which it must not go.
    shown: HashMap<u8, Version>,
}

impl Node {
    fn new(store: &Arc<TestStore>) -> Self {
        let directory = TempDir::new().unwrap();
        let up = Some(start(store, options(&directory)));
        Self { directory, copied: None, up, shown: HashMap::new() }
    }

    fn up(&mut self) -> &mut (Arc<ViewCache>, Follower) {
        self.up.as_mut().expect("started")
    }

    fn start(&mut self, store: &Arc<TestStore>) {
        self.up = Some(start(store, options(&self.directory)));
    }

    /// Starts it on another disk, which need not have the versions that it answered with.
    fn start_on(&mut self, store: &Arc<TestStore>, directory: TempDir) {
        (self.directory, self.copied) = (directory, None);
        self.shown.clear();
        self.start(store);
    }
}

/// Checks every answer.
#[derive(Default)]
struct Oracle {
    /// Versions by the moment of their acknowledgement.
    acknowledged: HashMap<u8, Vec<(Time, Version)>>,
    /// The versions that the phone was shown.
    phone: HashMap<u8, Version>,
}

impl Oracle {
    fn check(&mut self, n: u8, answer: &Answer, floor: Version) -> Result<(), TestCaseError> {
        let version = answer.entry.version();
        let acknowledged = self.acknowledged.entry(n).or_default();
        let lacking = acknowledged.iter().find(|(at, v)| *at < answer.as_of && *v > version);
        prop_assert!(lacking.is_none(), "as of {:?} lacks {lacking:?}: {version:?}", answer.as_of);
        prop_assert!(version >= floor, "went back from {floor:?} to {version:?}");
        let age = now().since(answer.as_of);
        prop_assert!(!answer.fresh || age <= Duration::from_secs(2));
        prop_assert!(age <= Duration::from_secs(86_400));
        Ok(())
    }
}

struct World {
    store: Arc<TestStore>,
    nodes: [Node; 2],
    oracle: Oracle,
}

impl World {
    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let Self { store, nodes, oracle } = self;
        match step {
            Step::Write(n) => {
                let version = store.write(subject(n));
                oracle.acknowledged.entry(n).or_default().push((now(), version));
            }
            Step::Set(n) => {
                store.set(subject(n));
            }
            Step::Lookup(at, n) => {
                if let Ok(answer) = nodes[at].up().0.get(subject(n), Version::ABSENT).await {
                    let shown = nodes[at].shown.insert(n, answer.entry.version());
                    oracle.check(n, &answer, shown.unwrap_or_default())?;
                }
            }
            Step::LookupWithFloor(at, n) => {
                let shown = oracle.phone.get(&n).copied().unwrap_or_default();
                if let Ok(answer) = nodes[at].up().0.get(subject(n), shown).await {
                    oracle.check(n, &answer, shown)?;
                    oracle.phone.insert(n, answer.entry.version());
                    nodes[at].shown.insert(n, answer.entry.version());
                }
            }
            // Fails when the store does.
            Step::Poll(at) => drop(nodes[at].up().1.poll().await),
            Step::Hint(at, stream) => nodes[at].up().1.follow_hint(StreamId(stream)).await,
            Step::Evict(at, n) => nodes[at].up().0.tiers.evict(subject(n)),
            Step::Fail(failing) => store.failing.store(failing, Ordering::Relaxed),
            Step::Expire => store.expire(),
            Step::OpenStream => store.open_stream(),
            Step::BriefWriter(n) => {
                store.brief_writer(subject(n));
                oracle.acknowledged.entry(n).or_default().push((now(), store.version(subject(n))));
            }
            Step::Rebuild => store.rebuild(),
            Step::Wait(ms) => wait(ms).await,
            Step::Crash(at) => {
                let (views, _) = nodes[at].up();
                if !views.tiers.has_disk() {
                    // Versions that it answered with since it lost its disk are forgotten with the process.
                    nodes[at].shown.clear();
                }
                nodes[at].up = None;
                nodes[at].start(store);
            }
            Step::LoseDisk(at) => nodes[at].up().0.tiers.lose_disk(&DiskError::Broken("by the test".into())),
            Step::CopyDisk(at) => nodes[at].copied = Some(copy(nodes[at].directory.path())),
            Step::Rewind(at) => {
                if let Some(copied) = nodes[at].copied.take() {
                    nodes[at].up = None;
                    nodes[at].start_on(store, copied);
                }
            }
            Step::Swap => {
                let [a, b] = nodes;
                (a.up, b.up) = (None, None);
                let theirs = std::mem::replace(&mut b.directory, TempDir::new().unwrap());
                let ours = std::mem::replace(&mut a.directory, theirs);
                let theirs = std::mem::replace(&mut a.directory, TempDir::new().unwrap());
                a.start_on(store, theirs);
                b.start_on(store, ours);
            }
            Step::Delete(at) => {
                nodes[at].up = None;
                nodes[at].start_on(store, TempDir::new().unwrap());
            }
        }
        for node in &self.nodes {
            let (views, _) = node.up.as_ref().expect("started");
            while views.single_flight.count() > 0 {
                tokio::task::yield_now().await; // loads in the background
            }
        }
        Ok(())
    }

    /// Once everything works again, every answer is fresh and has everything acknowledged.
    async fn recover(&mut self) -> Result<(), TestCaseError> {
        self.store.failing.store(false, Ordering::Relaxed);
        for _ in 0..2 {
            wait(6_000).await;
            for at in 0..2 {
                self.take(Step::Poll(at)).await?;
                for n in 0..4 {
                    self.take(Step::Lookup(at, n)).await?;
                }
            }
        }
        for node in &mut self.nodes {
            for n in 0..4 {
                let answer = node.up().0.get(subject(n), Version::ABSENT).await;
                let answer = answer.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
                prop_assert!(answer.fresh && answer.as_of.plus(Duration::from_secs(1)) > now());
                self.oracle.check(n, &answer, Version::ABSENT)?;
            }
        }
        Ok(())
    }
}

fn copy(directory: &Path) -> TempDir {
    fn copy_into(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if path.is_dir() {
                fs::create_dir(&target).unwrap();
                copy_into(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let copy = TempDir::new().unwrap();
    copy_into(directory, copy.path());
    copy
}

/// Both clocks go on: the nodes' own, and that of the circuit breaker and of time limits.
async fn wait(ms: i64) {
    advance(ms);
    tokio::time::advance(Duration::from_millis(ms.unsigned_abs())).await;
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let store = TestStore::new();
        let nodes = [Node::new(&store), Node::new(&store)];
        let mut world = World { store, nodes, oracle: Oracle::default() };
        for step in steps {
            wait(1).await; // no two steps at one moment
            world.take(step).await?;
        }
        world.recover().await
    })
}

/// A store that failed for half of the calls opens the circuit breaker, which closes again while the region recovers.
#[test]
fn a_region_recovers_after_the_circuit_breaker_opened() {
    let lookups = (0..25).map(|n| Step::Lookup(1, n % 4));
    run([Step::Fail(true)].into_iter().chain(lookups).collect()).unwrap();
    let lookups = (0..11).map(|_| Step::Lookup(1, 0));
    run([Step::Lookup(1, 1), Step::Lookup(1, 2), Step::Fail(true)].into_iter().chain(lookups).collect()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_lacks_what_its_as_of_promises(steps in vec(step(6), 1..60)) {
        run(steps)?;
    }
}
