//! Reconciling, rebuilding, and a change of rules: what goes over everyone.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use yima_harness::{Cluster, ClusterOptions, now};
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{EventSet, Version, View};
use yima_store::cql::{CqlOptions, CqlStore, migrate};
use yima_store::{CompareAndSet, Feed, StoreError, SubjectScan, ViewReader, ViewWrite, WriterStore};
use yima_writer::Rate;
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;
use yima_writer::rebuild::{self, rebuild};
use yima_writer::reconcile::{self, Report, reconcile};
use yima_writer::config::RefoldConfig;
use yima_writer::refold::Refold;

use super::{cluster, open, options};

/// More than two pages of a scan.
const PEOPLE: u32 = 1_200;

pub fn subject(n: u32) -> SubjectId {
    let mut bytes = [9; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SubjectId::from_bytes(bytes)
}

fn event(n: u32, id: &str) -> StoredEvent {
    let event = Event {
        subject: subject(n),
        agency: "lab-7".into(),
        id: format!("{id}-{n}"),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive },
    };
    StoredEvent::new(event, now())
}

pub async fn commit(folder: &Folder, people: impl Iterator<Item = u32>, id: &str) {
    for batch in people.collect::<Vec<_>>().chunks(200) {
        folder.commit(batch.iter().map(|n| event(*n, id)).collect()).await.unwrap();
    }
}

pub async fn folder(store: &Arc<CqlStore>, version: u32) -> Result<Folder, StoreError> {
    Folder::start(store.clone(), Arc::new(Rules { version, ..Rules::built_in() })).await
}

/// Version, events and rules of each view that there is.
pub async fn views(store: &CqlStore, people: u32) -> BTreeMap<u32, (Version, EventSet, u32)> {
    let subjects: Vec<_> = (0..people).map(subject).collect();
    let found = store.lookup_many(&subjects).await.unwrap();
    let of = |found: &yima_store::VersionedView| {
        let view = View::decode(&found.view).unwrap();
        (found.version, view.events, view.rules_version)
    };
    (0..people).zip(&found).filter_map(|(n, found)| Some((n, of(found.as_ref()?)))).collect()
}

/// Nobody waits for long.
pub fn quick(options: CqlOptions) -> CqlOptions {
    CqlOptions {
        beat_every: Duration::from_millis(50),
        dead_after: Duration::from_millis(500),
        lease: Duration::from_secs(1),
        ..options
    }
}

fn rate(per_s: u32) -> Rate {
    Rate(NonZeroU32::new(per_s).unwrap())
}

async fn reconciled(store: &Arc<CqlStore>, report: bool) -> Report {
    let settle = Duration::from_millis(100);
    let options = reconcile::Options { report, rate: None, restart: false, settle, clock: now };
    reconcile(store, Arc::new(Rules::built_in()), options, |_| ()).await.unwrap()
}

/// Hints are off, so what a region takes while the other is down never comes there by itself, nor do its marks.
#[tokio::test(flavor = "multi_thread")]
async fn reconciling_mends_what_a_region_missed_and_then_finds_nothing() {
    const ALL: u32 = 105;
    let cluster = Cluster::start(ClusterOptions::default().nodes([1, 1]).setting("hinted_handoff_enabled", false));
    let [xian, chengdu] = ["xian", "chengdu"].map(|region| quick(options(&cluster, "reconciled", region)));
    let here = open(&xian).await;
    let there = open(&chengdu).await;
    let writer = folder(&here, 1).await.unwrap();
    commit(&writer, 0..100, "a").await;
    let first = reconciled(&there, false).await;
    assert_eq!(views(&there, ALL).await.len(), 100, "{first:?}");
    drop(there);

    cluster.node(2, 1).stop();
    commit(&writer, (0..10).chain(100..ALL), "b").await;
    cluster.node(2, 1).start();
    let there = CqlStore::open(chengdu.clone()).await.unwrap();
    // One view is older than its events, and one cannot be read.
    for (n, view) in [(20, View::default().encode()), (21, bytes::Bytes::from_static(b"?"))] {
        let expected = there.lookup(subject(n)).await.unwrap().unwrap().version;
        let write = ViewWrite { subject: subject(n), expected, next: expected.next(1), view };
        assert_eq!(there.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    }

    let found = Report { subjects: u64::from(ALL), behind: 2, fetched: 15, sent: 0, unreadable: 0, part: 1.0 };
    assert_eq!(reconciled(&there, true).await, found, "a report");
    assert_eq!(reconciled(&there, true).await, found, "a report changes nothing");
    assert_eq!(reconciled(&here, true).await, Report { behind: 0, fetched: 0, sent: 15, ..found }, "seen from there");
    assert_eq!(reconciled(&there, false).await, found, "a repair");
    same(&here, &there, ALL).await;
    let clean = Report { behind: 0, fetched: 0, ..found };
    assert_eq!(reconciled(&there, false).await, clean, "a second repair");
    assert_eq!(reconciled(&here, false).await, clean, "and from the other region");

    // The other way: the region that has more sends, and marks what it sends.
    drop(there);
    cluster.node(2, 1).stop();
    commit(&writer, 30..40, "c").await;
    cluster.node(2, 1).start();
    let there = CqlStore::open(chengdu.clone()).await.unwrap();
    let follower = MarkFollower::new(there.clone(), Arc::new(folder(&there, 1).await.unwrap()));
    let following = tokio::spawn(follower.run());
    assert_eq!(reconciled(&here, false).await, Report { sent: 10, ..clean });
    let all_followed = async {
        while views(&there, ALL).await.values().map(|(_, events, _)| events.count).sum::<u32>() < 125 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_followed).await.expect("it follows all");
    same(&here, &there, ALL).await;
    assert_eq!(reconciled(&there, false).await, clean);
    following.abort();
}

async fn same(here: &CqlStore, there: &CqlStore, people: u32) {
    let (here, there) = (views(here, people).await, views(there, people).await);
    let events = |views: BTreeMap<u32, (Version, EventSet, u32)>| -> BTreeMap<u32, EventSet> {
        views.into_iter().map(|(n, (_, events, _))| (n, events)).collect()
    };
    assert_eq!(events(here), events(there));
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

/// The region's keyspace is dropped under a reader; a rebuild is killed on the way, and the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_region_is_rebuilt_from_events_alone() {
    let cluster = cluster();
    let options = quick(options(&cluster, "rebuilt", "xian"));
    let store = open(&options).await;
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..PEOPLE, "a").await;
    commit(&writer, 0..10, "b").await;
    let before = views(&store, PEOPLE).await;
    let cache = ViewCache::new(store.clone(), &CacheConfig::default(), None, now);
    let mut reader = Follower::start(store.clone(), cache.clone(), Duration::from_millis(10), now).await.unwrap();
    let generation = cache.generation();

    let rules = Arc::new(Rules::built_in());
    let refused = rebuild(&options, rules.clone(), None, |_| ()).await;
    assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("stop the writers")), "{refused:?}");
    assert_eq!(views(&store, PEOPLE).await, before, "what was refused changed something");
    writer.close().await.unwrap();

    let session = cluster.session(1).await;
    session.query_unpaged("DROP KEYSPACE rebuilt_xian", ()).await.unwrap();
    session.await_schema_agreement().await.unwrap();
    let found = store.lookup(subject(0)).await;
    assert!(is_unavailable(&found), "{:?}", found.map(|found| found.is_some()));

    let one_page = Arc::new(Notify::new());
    let (seen, (of, by)) = (one_page.clone(), (options.clone(), rules.clone()));
    let killed = tokio::spawn(async move {
        let tell = |report: &rebuild::Report| {
            // A page is remembered when the next one is asked for: with the second one, the first is.
            if report.subjects >= 700 {
                seen.notify_one()
            }
        };
        rebuild(&of, by, Some(rate(400)), tell).await
    });
    one_page.notified().await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    assert!(is_unavailable(&reader.poll().await), "the feed was read while the region is rebuilt");
    let absent = store.lookup(subject(PEOPLE)).await;
    assert!(is_unavailable(&absent), "somebody was told to be absent: {:?}", absent.map(|found| found.is_some()));
    assert!(is_unavailable(&folder(&CqlStore::open(options.clone()).await.unwrap(), 1).await.map(drop)));

    let first = std::sync::Mutex::new(None);
    let report = rebuild(&options, rules, None, |report| {
        first.lock().unwrap().get_or_insert(*report);
    });
    let report = report.await.unwrap();
    assert_eq!(report, rebuild::Report { subjects: u64::from(PEOPLE), unreadable: 0, part: 1.0 });
    let first = first.lock().unwrap().unwrap();
    assert!(first.subjects > 800, "it began anew: {first:?}");

    let after = views(&store, PEOPLE).await;
    assert_eq!(after.len(), before.len());
    for (n, (version, events, rules)) in &before {
        let (now, same, by) = &after[n];
        assert!(now > version && *now >= Version::floor(2), "{n}: {now:?} after {version:?}");
        assert_eq!((same, by), (events, rules));
    }
    reader.poll().await.unwrap();
    assert_ne!(cache.generation(), generation, "a reader goes on as if nothing had happened");
    assert!(store.lookup(subject(PEOPLE)).await.unwrap().is_none());
    let store = CqlStore::open(options).await.unwrap();
    assert_eq!(store.epoch(), 2);
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..10, "c").await;
    assert!(views(&store, 1).await[&0].0 > after[&0].0);
}

/// A writer with newer rules starts beside one with older ones, which stops; then everyone is folded again, by one that is killed and another.
#[tokio::test(flavor = "multi_thread")]
async fn newer_rules_stop_older_writers_and_fold_everyone_again() {
    let cluster = cluster();
    let options = quick(options(&cluster, "ruled", "xian"));
    let store = open(&options).await;
    let old = Arc::new(folder(&store, 1).await.unwrap());
    commit(&old, 0..PEOPLE, "a").await;
    let stopping = tokio::spawn(MarkFollower::new(store.clone(), old.clone()).run());

    let store_of_new = CqlStore::open(options.clone()).await.unwrap();
    let new = Arc::new(folder(&store_of_new, 2).await.unwrap());
    let refold = |per_s| {
        let config = RefoldConfig { subjects_per_s: NonZeroU32::new(per_s).unwrap() };
        Refold::new(store_of_new.clone(), new.clone(), config, now)
    };
    assert!(!refold(10_000).once().await.unwrap(), "an older writer could fold somebody behind it");
    tokio::time::timeout(Duration::from_secs(10), stopping).await.expect("the older writer goes on").unwrap();
    assert!(matches!(old.commit(vec![event(0, "b")]).await, Err(StoreError::Rejected(_))));
    old.close().await.unwrap();
    let refused = folder(&store, 1).await.map(drop);
    assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("version 2")), "{refused:?}");

    let killed = tokio::spawn(refold(400).run());
    let progress = async || store.progress("refold/2").await.unwrap();
    let begun = async {
        while progress().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun).await.expect("it begins");
    killed.abort();
    let first = progress().await.unwrap();
    assert!(!first.is_done());
    let by = async |version| views(&store, PEOPLE).await.values().filter(|view| view.2 == version).count();
    assert!(by(1).await > 0);
    tokio::time::timeout(Duration::from_secs(30), refold(10_000).run()).await.expect("it ends");
    assert_eq!((by(1).await, by(2).await), (0, PEOPLE as usize));
    let done = progress().await.unwrap();
    assert!(done.is_done() && done.started_at == first.started_at, "it began anew");
    assert_eq!(done.counts["subjects"], u64::from(PEOPLE));
    assert!(refold(1).once().await.unwrap(), "once is enough");
    new.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_seen_once_in_pages_of_any_size() {
    let cluster = cluster();
    let options = options(&cluster, "paged", "xian");
    migrate(&options, None, now()).await.unwrap();
    let store = CqlStore::open(options).await.unwrap();
    store.append((0..300).flat_map(|n| [event(n, "a"), event(n, "b")]).collect()).await.unwrap();
    for limit in [2, 7, 300, 301] {
        let (mut after, mut seen) = (i64::MIN, Vec::new());
        while after < i64::MAX {
            let page = store.subjects(None, after, limit).await.unwrap();
            assert!(page.upto > after && page.subjects.iter().all(|(at, _)| *at > after && *at <= page.upto));
            after = page.upto;
            seen.extend(page.subjects.into_iter().map(|(_, subject)| subject));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..300).map(subject)), "in pages of {limit}");
    }
    let names = store.event_names(None, &[subject(5), subject(300)]).await.unwrap();
    assert_eq!((names[0].len(), names[1].len()), (2, 0));
    assert!(store.registry().await.is_ok());
}
