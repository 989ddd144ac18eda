//! A read node with many entries in its disk tier is killed under traffic again and again, while views change: how soon
//! it is ready, how many of its answers need no lookup in the store, and that no answer lacks a change before its
//! `as_of`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use yima_harness::checker::options;
use yima_harness::samples::{self, negative_test, subject};
use yima_harness::{Cluster, ClusterOptions, Http, Region, RegionStore, now, until};
use yima_schema::change::Change;
use yima_schema::rules::Rules;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::time::{DAY, Time};
use yima_schema::view::Version;
use yima_store::{CompareAndSet, Published, ViewReader, ViewWrite, WriterStore};

const CLIENTS: u64 = 8;
/// Subjects whose views change meanwhile.
const CHANGING: u64 = 500;
/// Answers within this time of ready are counted as hits or lookups.
const SOON: Duration = Duration::from_secs(5);
/// Changes of one publication.
const BATCH: u64 = 2_000;
/// Views that are inserted at once.
const AT_ONCE: usize = 64;

/// The state that the readers and the writer share.
struct Shared {
    url: RwLock<String>,
    ready_at: RwLock<Instant>,
    /// The versions of each subject, with the time of their acknowledgement.
    acknowledged: Mutex<HashMap<u64, Vec<(Time, u64)>>>,
    seal: SealKeys,
    people: u64,
    hits: AtomicU64,
    lookups: AtomicU64,
    refused: AtomicU64,
    answers: AtomicU64,
    fresh: AtomicU64,
    stop: AtomicBool,
}

/// Runs with this many subjects and kills.
pub(crate) fn run(people: u64, kills: usize) {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().benchmark()));
    let region = Region::new(&cluster, 1, "xian", "restarts", options());
    let stored = RegionStore::open(&region);
    // So little memory that nearly every answer comes from the disk tier.
    let mut reader = region.reader(&[("YIMA_READ_API__CACHE__MEMORY_BYTES", "8388608")]);
    let start = Instant::now();
    fill(&cluster, &stored, "restarts_xian", people);
    let is_filled = || reader.metric("cache_disk_entries", &[]) >= people as f64;
    until("every view in the disk tier", Duration::from_secs(600), is_filled);
    report!("{people} views in the disk tier after {:.0} s", start.elapsed().as_secs_f64());
    let shared = Shared {
        url: RwLock::new(reader.read_url()),
        ready_at: RwLock::new(Instant::now()),
        acknowledged: Mutex::default(),
        seal: SealKeys::new(&[region.options().key("seal.key")], "session"),
        people,
        hits: AtomicU64::new(0),
        lookups: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        answers: AtomicU64::new(0),
        fresh: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let generation = reader.metric("cache_generation", &[]);
    thread::scope(|scope| {
        scope.spawn(|| write(&shared, &stored));
        (0..CLIENTS).for_each(|_| drop(scope.spawn(|| read(&shared))));
        let mut ready: Vec<f64> = Vec::new();
        for _ in 0..kills {
            thread::sleep(SOON + Duration::from_millis(rand::random_range(0..2_000)));
            let killed = Instant::now();
            reader.restart();
            *shared.url.write() = reader.read_url();
            *shared.ready_at.write() = Instant::now();
            ready.push(killed.elapsed().as_secs_f64());
            assert_eq!(reader.metric("cache_generation", &[]), generation, "the node started a new generation");
        }
        thread::sleep(SOON);
        shared.stop.store(true, Ordering::SeqCst);
        ready.sort_by(f64::total_cmp);
        report!(
            "killed {kills} times: ready again after {:.2} s (median), {:.2} s (worst)",
            ready[kills / 2],
            ready[kills - 1]
        );
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (hits, lookups) = (count(&shared.hits), count(&shared.lookups));
    report!(
        "{} answers, none lacks a change before its as_of; {} fresh; {} refused or cut off. Within {SOON:?} of ready: \
         {:.2} % of {} without a lookup",
        count(&shared.answers),
        count(&shared.fresh),
        count(&shared.refused),
        hits as f64 * 100.0 / (hits + lookups) as f64,
        hits + lookups
    );
    report!("{} changes acknowledged", shared.acknowledged.lock().values().map(Vec::len).sum::<usize>());
    assert!(hits * 100 >= (hits + lookups) * 95, "fewer than 95 % without a lookup");
}

/// The change of a subject to this version.
fn change(n: u64, version: Version, rules: &Rules) -> Change {
    let event = negative_test(subject(n), "lab-7".into(), format!("restarts-{}", version.0));
    samples::change(&event, version, rules)
}

/// Inserts every subject's first view, and publishes it for the node that follows.
pub(crate) fn fill(cluster: &Cluster, stored: &RegionStore, keyspace: &str, people: u64) {
    let rules = Rules::built_in();
    stored.runtime.block_on(async {
        let session = cluster.session(1).await;
        let insert = format!("INSERT INTO {keyspace}.views (subject, version, body) VALUES (?, ?, ?)");
        let insert = session.prepare(insert).await.expect("the table exists");
        let stream = stored.store.open_stream().await.expect("a stream");
        for first in (0..people).step_by(BATCH as usize) {
            let last = people.min(first + BATCH);
            let changes: Vec<Change> = (first..last).map(|n| change(n, Version(1), &rules)).collect();
            let (session, insert) = (&session, &insert);
            for chunk in changes.chunks(AT_ONCE) {
                let written = chunk.iter().map(async |change| {
                    let row = (&change.subject.as_bytes()[..], change.version.0 as i64, &change.view[..]);
                    session.execute_unpaged(insert, row).await.expect("the database answers")
                });
                futures::future::join_all(written).await;
            }
            let published = stored.store.publish(stream, changes, Vec::new()).await.expect("the database answers");
            assert_eq!(published, Published::Open);
        }
    });
}

/// Changes views as a writer does, one after another.
fn write(shared: &Shared, stored: &RegionStore) {
    let rules = Rules::built_in();
    stored.runtime.block_on(async {
        let stream = stored.store.open_stream().await.expect("a stream");
        while !shared.stop.load(Ordering::SeqCst) {
            let n = rand::random_range(0..CHANGING);
            let found = stored.store.lookup(subject(n)).await.expect("the database answers");
            let expected = found.map_or(Version::ABSENT, |found| found.version);
            let change = change(n, expected.next(stored.store.epoch()), &rules);
            let next = change.version;
            let view = change.view.clone();
            let write = ViewWrite { subject: change.subject, expected, next, view, denials: Vec::new() };
            let set = stored.store.compare_and_set(vec![write]).await.expect("the database answers");
            assert_eq!(set, [CompareAndSet::Set]);
            let published = stored.store.publish(stream, vec![change], Vec::new()).await.expect("the database answers");
            assert_eq!(published, Published::Open);
            shared.acknowledged.lock().entry(n).or_default().push((now(), next.0));
        }
    });
}

/// Reads the display of one subject after another, one in four of those that change.
fn read(shared: &Shared) {
    let http = Http::default();
    while !shared.stop.load(Ordering::SeqCst) {
        let of = if rand::random_range(0..4) == 0 { CHANGING } else { shared.people };
        let n = rand::random_range(0..of);
        let holder = Holder::Citizen { subject: subject(n) };
        let session =
            Session { id: rand::random(), started_at: now(), expires_at: now().plus(DAY), holder }.seal(&shared.seal);
        let url = format!("{}/v1/display", shared.url.read());
        let bearer = format!("Bearer {session}");
        let soon = shared.ready_at.read().elapsed() < SOON;
        let Some(reply) = http.get_with(&url, &[("authorization", &bearer)]).ok().filter(|reply| reply.status == 200)
        else {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let status = reply.header("cache-status").to_owned();
        let as_of: Time = reply.header("yima-as-of").parse().expect("every display has an as_of");
        let version = reply.json(200)["version"].as_u64().expect("a version");
        shared.answers.fetch_add(1, Ordering::Relaxed);
        shared.fresh.fetch_add(u64::from(!status.contains("stale")), Ordering::Relaxed);
        if soon {
            let counter = if status.contains("fwd=") { &shared.lookups } else { &shared.hits };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let acknowledged = shared.acknowledged.lock();
        let lacking = acknowledged.get(&n).and_then(|all| all.iter().find(|(at, v)| *at < as_of && *v > version));
        assert!(lacking.is_none(), "as of {as_of}, version {version} lacks {lacking:?}: {status}");
    }
}
