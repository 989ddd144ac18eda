//! Measures the embedded engine: `cargo test --release -p yima-store -- --ignored --nocapture measure`, with
//! `MEASURE_PEOPLE` for another population than a million.

use std::time::Instant;

use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{EventReader, ViewReader, WriterStore};

use crate::fixture::{event, open, options, subject};
use crate::import::population;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, minutes long: tests/bench store"]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), EmbeddedOptions { cache_bytes: 256 << 20, ..options() }).unwrap();
    let count: u64 = std::env::var("MEASURE_PEOPLE").map_or(1_000_000, |n| n.parse().unwrap());
    let subjects = population(count);
    let start = Instant::now();
    store.import(subjects, |_| ()).unwrap();
    eprintln!(
        "import of {count} subjects with 3 events each: {:?}, {} MB",
        start.elapsed(),
        store.disk_bytes().unwrap() / 1_000_000
    );

    for callers in [1, 64] {
        let mut tasks = tokio::task::JoinSet::new();
        let start = Instant::now();
        for caller in 0..callers {
            let store = store.clone();
            tasks.spawn(async move {
                let mut took = Vec::new();
                for n in 0..500 {
                    let start = Instant::now();
                    store
                        .append(vec![event(subject(n * 7919 % count), &format!("m{callers}/{caller}"))])
                        .await
                        .unwrap();
                    took.push(start.elapsed());
                }
                took
            });
        }
        let mut took = tasks.join_all().await.concat();
        took.sort_unstable();
        let rate = took.len() as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "append of 1 by {callers}: p50 {:?} p99 {:?} {rate:.0}/s",
            took[took.len() / 2],
            took[took.len() * 99 / 100]
        );
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
    eprintln!("lookup of absent views: {:?}", start.elapsed() / 20_000);
    let start = Instant::now();
    for batch in 0..20 {
        let subjects: Vec<_> = (0..1_000).map(|n| subject((batch * 1_000 + n) * 7 % count)).collect();
        store.events(&subjects).await.unwrap();
    }
    eprintln!("events: {:.0} subjects/s", 20_000.0 / start.elapsed().as_secs_f64());

    drop(store);
    let start = Instant::now();
    drop(open(dir.path()));
    eprintln!("open and close: {:?}", start.elapsed());
}
