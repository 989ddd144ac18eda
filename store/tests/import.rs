//! Importing a population: all or nothing.

use std::time::Instant;

use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedOptions, ImportedSubject};
use yima_store::{Appended, EventReader, StoreError, ViewReader, WriterStore};

use crate::fixture::{event, open, options, subject, view};

const FIRST: Version = Version(1 << 48);

fn people(count: u64) -> impl Iterator<Item = ImportedSubject> {
    let mut subjects: Vec<_> = (0..count).map(subject).collect();
    subjects.sort_unstable();
    subjects.into_iter().map(|s| ImportedSubject {
        subject: s,
        events: vec![event(s, "b"), event(s, "aa"), event(s, "a")],
        version: FIRST,
        view: view(FIRST),
    })
}

#[tokio::test]
async fn a_population_is_there_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.is_empty().unwrap());
    let mut told = Vec::new();
    assert_eq!(store.import(people(25_000), |done| told.push(done)).unwrap(), 25_000);
    assert_eq!(told, [10_000, 20_000, 25_000]);
    assert!(matches!(store.import(people(1), |_| ()), Err(StoreError::Rejected(_))));
    let outcomes = store.append(vec![event(subject(5), "a"), event(subject(5), "c")]).await.unwrap();
    assert!(matches!(outcomes[..], [Appended::Duplicate(_), Appended::New(_)]));
    drop(store);

    let store = open(dir.path());
    assert!(!store.is_empty().unwrap());
    assert_eq!(store.events(&[subject(5), subject(24_999)]).await.unwrap().map_lengths(), [4, 3]);
    assert!(store.lookup(subject(24_999)).await.unwrap().is_some_and(|v| v.version == FIRST && v.view == view(FIRST)));
}

trait MapLengths {
    fn map_lengths(&self) -> Vec<usize>;
}

impl<T> MapLengths for Vec<Vec<T>> {
    fn map_lengths(&self) -> Vec<usize> {
        self.iter().map(Vec::len).collect()
    }
}

#[tokio::test]
async fn an_interrupted_import_leaves_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let unsorted = people(1_000).chain(people(1));
    assert!(matches!(store.import(unsorted, |_| ()), Err(StoreError::Rejected(_))));
    let refused = store.append(vec![event(subject(1), "a")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "a store whose import failed takes writes");
    drop(store);

    // As if it had died between the two tables.
    let store = open(dir.path());
    assert!(store.is_empty().unwrap());
    store.import(people(1_000), |_| ()).unwrap();
    drop(store);
    let db = fjall::Database::builder(dir.path()).open().unwrap();
    let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
    meta.insert("import", "started").unwrap();
    drop((meta, db));
    let store = open(dir.path());
    assert!(store.is_empty().unwrap(), "rows of an import that did not finish are there");
    assert!(store.lookup(subject(1)).await.unwrap().is_none());
    assert_eq!(store.import(people(2_000), |_| ()).unwrap(), 2_000);
    drop(store);
    for _ in 0..2 {
        let store = open(dir.path());
        assert_eq!(store.events(&[subject(1_999)]).await.unwrap().map_lengths(), [3], "a restart lost the import");
    }
}

/// `cargo test --release -p yima-store -- --ignored --nocapture measure` prints what the embedded engine does on this machine.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, minutes long"]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let store = yima_store::embedded::EmbeddedStore::open(
        dir.path(),
        EmbeddedOptions { cache_bytes: 256 << 20, ..options() },
    )
    .unwrap();
    let count: u64 = std::env::var("MEASURE_PEOPLE").map_or(1_000_000, |n| n.parse().unwrap());
    let people = people(count);
    let start = Instant::now();
    store.import(people, |_| ()).unwrap();
    eprintln!("import of {count} people with 3 events each: {:?}, {} MB", start.elapsed(), store.disk_bytes().unwrap() / 1_000_000);

    for callers in [1, 64] {
        let mut tasks = tokio::task::JoinSet::new();
        let start = Instant::now();
        for caller in 0..callers {
            let store = store.clone();
            tasks.spawn(async move {
                let mut took = Vec::new();
                for n in 0..500 {
                    let start = Instant::now();
                    store.append(vec![event(subject(n * 7919 % count), &format!("m{callers}/{caller}"))]).await.unwrap();
                    took.push(start.elapsed());
                }
                took
            });
        }
        let mut took = tasks.join_all().await.concat();
        took.sort_unstable();
        let rate = took.len() as f64 / start.elapsed().as_secs_f64();
        eprintln!("append of 1 by {callers}: p50 {:?} p99 {:?} {rate:.0}/s", took[took.len() / 2], took[took.len() * 99 / 100]);
    }

    let start = Instant::now();
    for batch in 0..200 {
        let events = (0..1_000).map(|n| event(subject((batch * 1_000 + n) * 31 % count), &format!("b{batch}/{n}")));
        store.append(events.collect()).await.unwrap();
    }
    eprintln!("append of 1,000: {:.0} rows/s", 200_000.0 / start.elapsed().as_secs_f64());

    let mut took = Vec::new();
    for n in 0..200_000 {
        let start = Instant::now();
        assert!(store.lookup(subject(n * 104_729 % count)).await.unwrap().is_some());
        took.push(start.elapsed());
    }
    took.sort_unstable();
    eprintln!("lookup: p50 {:?} p99 {:?} max {:?}", took[100_000], took[198_000], took[199_999]);
    let start = Instant::now();
    for n in 0..20_000 {
        assert!(store.lookup(subject(count + n)).await.unwrap().is_none());
    }
    eprintln!("lookup of nobody: {:?}", start.elapsed() / 20_000);
    let start = Instant::now();
    for batch in 0..20 {
        let subjects: Vec<_> = (0..1_000).map(|n| subject((batch * 1_000 + n) * 7 % count)).collect();
        store.events(&subjects).await.unwrap();
    }
    eprintln!("events: {:.0} subjects/s", 20_000.0 / start.elapsed().as_secs_f64());
}
