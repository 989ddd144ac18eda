//! `rebuild` of a region whose keyspace is gone.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use yima_harness::now;
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::rules::Rules;
use yima_schema::view::Version;
use yima_store::cql::CqlStore;
use yima_store::{StoreError, ViewReader, WriterStore};
use yima_writer::Rate;
use yima_writer::rebuild::{self, rebuild};

use crate::cql::many_subjects::{SUBJECTS, commit, folder, quick, subject, views};
use crate::cql::{cluster, open, options};

fn rate(per_s: u32) -> Rate {
    Rate(NonZeroU32::new(per_s).unwrap())
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// The region's keyspace is dropped under a reader. A first rebuild is killed, and a second one resumes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_keyspace_is_rebuilt_from_events_alone() {
    let cluster = cluster();
    let options = quick(options(&cluster, "rebuilt", "xian"));
    let store = open(&options).await;
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..SUBJECTS, "a").await;
    commit(&writer, 0..10, "b").await;
    let before = views(&store, SUBJECTS).await;
    let cache = ViewCache::new(store.clone(), &CacheConfig::default(), None, now);
    let mut reader = Follower::start(store.clone(), cache.clone(), Duration::from_millis(10), now).await.unwrap();
    let generation = cache.generation();

    let rules = Arc::new(Rules::built_in());
    let refused = rebuild(&options, rules.clone(), yima_harness::samples::token_keys(), None, |_| ()).await;
    assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("stop the writers")), "{refused:?}");
    assert_eq!(views(&store, SUBJECTS).await, before, "a refused rebuild changed a view");
    writer.close().await.unwrap();

    let session = cluster.session(1).await;
    session.query_unpaged("DROP KEYSPACE rebuilt_xian", ()).await.unwrap();
    session.await_schema_agreement().await.unwrap();
    let found = store.lookup(subject(0)).await;
    assert!(is_unavailable(&found), "{:?}", found.map(|found| found.is_some()));

    let first_page_saved = Arc::new(Notify::new());
    let (notify, (region, its_rules)) = (first_page_saved.clone(), (options.clone(), rules.clone()));
    let killed = tokio::spawn(async move {
        let on_progress = |report: &rebuild::Report| {
            // The progress of a page is saved when the next page is read: in the second page, the first one is saved.
            if report.subjects >= 700 {
                notify.notify_one()
            }
        };
        rebuild(&region, its_rules, yima_harness::samples::token_keys(), Some(rate(400)), on_progress).await
    });
    first_page_saved.notified().await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    assert!(is_unavailable(&reader.poll().await), "the feed was read while the region is rebuilt");
    let absent = store.lookup(subject(SUBJECTS)).await;
    assert!(is_unavailable(&absent), "absence was proved: {:?}", absent.map(|found| found.is_some()));
    assert!(is_unavailable(&folder(&CqlStore::open(options.clone()).await.unwrap(), 1).await.map(drop)));

    let first = std::sync::Mutex::new(None);
    let report = rebuild(&options, rules, yima_harness::samples::token_keys(), None, |report| {
        first.lock().unwrap().get_or_insert(*report);
    });
    let report = report.await.unwrap();
    assert_eq!(report, rebuild::Report { subjects: u64::from(SUBJECTS), unreadable: 0, part: 1.0 });
    let first = first.lock().unwrap().unwrap();
    assert!(first.subjects > 800, "the rebuild started over: {first:?}");

    let after = views(&store, SUBJECTS).await;
    assert_eq!(after.len(), before.len());
    for (n, (version, events, rules)) in &before {
        let (next_version, events_now, rules_now) = &after[n];
        assert!(
            next_version > version && *next_version >= Version::floor(2),
            "{n}: {next_version:?} after {version:?}"
        );
        assert_eq!((events_now, rules_now), (events, rules));
    }
    reader.poll().await.unwrap();
    assert_ne!(cache.generation(), generation, "the reader kept its generation");
    assert!(store.lookup(subject(SUBJECTS)).await.unwrap().is_none());
    let store = CqlStore::open(options).await.unwrap();
    assert_eq!(store.epoch(), 2);
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..10, "c").await;
    assert!(views(&store, 1).await[&0].0 > after[&0].0);
}
