//! A read node with many people on its disk is killed under load again and again, while views change: how soon it is ready, how many of its
//! answers need no look-up, and that none claims what is not so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use yima_harness::checker::options;
use yima_harness::samples::{negative, subject};
use yima_harness::{Cluster, ClusterOptions, Http, Region, Stored, now, until};
use yima_schema::change::Change;
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::time::{DAY, Time};
use yima_schema::view::Version;
use yima_store::{CompareAndSet, Published, ViewReader, ViewWrite, WriterStore};

const CLIENTS: u64 = 8;
/// People whose views change meanwhile.
const CHANGING: u64 = 500;
/// Answers so soon after it is ready are counted.
const SOON: Duration = Duration::from_secs(5);
/// What is filled in one go, and how many goes at once.
const BATCH: u64 = 2_000;
const AT_ONCE: usize = 64;

/// What clients and the one who changes views share.
struct World {
    url: RwLock<String>,
    ready_at: RwLock<Instant>,
    /// Versions by person, each with the moment of its acknowledgement.
    acknowledged: Mutex<HashMap<u64, Vec<(Time, u64)>>>,
    seal: SealKeys,
    people: u64,
    hits: AtomicU64,
    looked_up: AtomicU64,
    refused: AtomicU64,
    answers: AtomicU64,
    fresh: AtomicU64,
    stop: AtomicBool,
}

/// Runs with so many people and kills.
pub(crate) fn run(people: u64, kills: usize) {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().benchmark()));
    let region = Region::new(&cluster, 1, "xian", "restarts", options());
    let stored = Stored::open(&region);
    // So little memory that nearly every answer comes from disk.
    let mut reader = region.reader(&[("YIMA_READ_API__CACHE__MEMORY_BYTES", "8388608")]);
    let begun = Instant::now();
    fill(&cluster, &stored, people);
    let is_there = || reader.metric("cache_disk_entries", &[]) >= people as f64;
    until("everybody on the node's disk", Duration::from_secs(600), is_there);
    report!("{people} people on the node's disk after {:.0} s", begun.elapsed().as_secs_f64());
    let world = World {
        url: RwLock::new(reader.read_url()),
        ready_at: RwLock::new(Instant::now()),
        acknowledged: Mutex::default(),
        seal: SealKeys::new(&[region.options().key("seal.key")], "session"),
        people,
        hits: AtomicU64::new(0),
        looked_up: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        answers: AtomicU64::new(0),
        fresh: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let generation = reader.metric("cache_generation", &[]);
    thread::scope(|scope| {
        scope.spawn(|| change(&world, &stored));
        (0..CLIENTS).for_each(|_| drop(scope.spawn(|| ask(&world))));
        let mut ready: Vec<f64> = Vec::new();
        for _ in 0..kills {
            thread::sleep(SOON + Duration::from_millis(rand::random_range(0..2_000)));
            let killed = Instant::now();
            reader.restart();
            *world.url.write() = reader.read_url();
            *world.ready_at.write() = Instant::now();
            ready.push(killed.elapsed().as_secs_f64());
            assert_eq!(reader.metric("cache_generation", &[]), generation, "it began a new proof");
        }
        thread::sleep(SOON);
        world.stop.store(true, Ordering::SeqCst);
        ready.sort_by(f64::total_cmp);
        report!(
            "killed {kills} times: ready again after {:.2} s (median), {:.2} s (worst)",
            ready[kills / 2],
            ready[kills - 1]
        );
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (hits, looked_up) = (count(&world.hits), count(&world.looked_up));
    report!(
        "{} answers, none claimed what is not so; {} fresh; {} refused or cut off. Within {SOON:?} of ready: {:.2} % of {} without a look-up",
        count(&world.answers),
        count(&world.fresh),
        count(&world.refused),
        hits as f64 * 100.0 / (hits + looked_up) as f64,
        hits + looked_up
    );
    report!("{} changes acknowledged", world.acknowledged.lock().values().map(Vec::len).sum::<usize>());
    assert!(hits * 100 >= (hits + looked_up) * 95, "fewer than 95 %");
}

/// A person's view at some version.
fn view(n: u64, version: u64, rules: &Rules) -> Change {
    let event = negative(subject(n), "lab-7".into(), format!("restarts-{version}"));
    let view = derive(&[event], rules).encode();
    Change { subject: subject(n), version: Version(version), view, traced: None }
}

/// Everybody's first view into the tables, and a change of each for the node that follows.
fn fill(cluster: &Cluster, stored: &Stored, people: u64) {
    let rules = Rules::built_in();
    stored.runtime.block_on(async {
        let session = cluster.session(1).await;
        let insert = "INSERT INTO restarts_xian.views (subject, version, body) VALUES (?, ?, ?)";
        let insert = session.prepare(insert).await.expect("the table is there");
        let stream = stored.store.open_stream().await.expect("a stream");
        for first in (0..people).step_by(BATCH as usize) {
            let views: Vec<Change> = (first..people.min(first + BATCH)).map(|n| view(n, 1, &rules)).collect();
            let (session, insert) = (&session, &insert);
            for chunk in views.chunks(AT_ONCE) {
                let written = chunk.iter().map(async |change| {
                    let row = (&change.subject.as_bytes()[..], change.version.0 as i64, &change.view[..]);
                    session.execute_unpaged(insert, row).await.expect("the database answers")
                });
                futures::future::join_all(written).await;
            }
            let published = stored.store.publish(stream, views, Vec::new()).await.expect("the database answers");
            assert_eq!(published, Published::Open);
        }
    });
}

/// Changes views as a writer does, one after another.
fn change(world: &World, stored: &Stored) {
    let rules = Rules::built_in();
    stored.runtime.block_on(async {
        let stream = stored.store.open_stream().await.expect("a stream");
        while !world.stop.load(Ordering::SeqCst) {
            let n = rand::random_range(0..CHANGING);
            let found = stored.store.lookup(subject(n)).await.expect("the database answers");
            let expected = found.map_or(Version::ABSENT, |found| found.version);
            let change = view(n, expected.next(stored.store.epoch()).0, &rules);
            let next = change.version;
            let write = ViewWrite { subject: change.subject, expected, next, view: change.view.clone() };
            let set = stored.store.compare_and_set(vec![write]).await.expect("the database answers");
            assert_eq!(set, [CompareAndSet::Set]);
            let published = stored.store.publish(stream, vec![change], Vec::new()).await.expect("the database answers");
            assert_eq!(published, Published::Open);
            world.acknowledged.lock().entry(n).or_default().push((now(), next.0));
        }
    });
}

/// Asks for one person after another, of whom one in four changes.
fn ask(world: &World) {
    let http = Http::default();
    while !world.stop.load(Ordering::SeqCst) {
        let of = if rand::random_range(0..4) == 0 { CHANGING } else { world.people };
        let n = rand::random_range(0..of);
        let holder = Holder::Citizen { subject: subject(n) };
        let session = Session { id: rand::random(), expires_at: now().plus(DAY), holder }.seal(&world.seal);
        let url = format!("{}/v1/display", world.url.read());
        let bearer = format!("Bearer {session}");
        let soon = world.ready_at.read().elapsed() < SOON;
        let Some(reply) = http.ask(&url, &[("authorization", &bearer)]).ok().filter(|reply| reply.status == 200) else {
            world.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let status = reply.header("cache-status").to_owned();
        let as_of: Time = reply.header("yima-as-of").parse().expect("every display says what it is true of");
        let version = reply.json(200)["version"].as_u64().expect("a version");
        world.answers.fetch_add(1, Ordering::Relaxed);
        world.fresh.fetch_add(u64::from(!status.contains("stale")), Ordering::Relaxed);
        if soon {
            let counter = if status.contains("fwd=") { &world.looked_up } else { &world.hits };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let acknowledged = world.acknowledged.lock();
        let lacking = acknowledged.get(&n).and_then(|all| all.iter().find(|(at, v)| *at < as_of && *v > version));
        assert!(lacking.is_none(), "as of {as_of}, version {version} lacks {lacking:?}: {status}");
    }
}
