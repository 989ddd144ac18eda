//! Restoring a backup of a region's keyspace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use yima_harness::{Cluster, ClusterOptions, now};
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::view::Version;
use yima_store::EventReader;
use yima_store::cql::CqlStore;
use yima_writer::rebuild::rebuild;

use crate::cql::many_subjects::{commit, folder, quick, subject, views};
use crate::cql::{open, options};
use crate::until_async;

/// Time for a reader to reach a restarted node.
const REACHED: Duration = Duration::from_secs(30);

/// Subjects in the backup, those of them with events after it, and all.
const IN_BACKUP: u32 = 300;
const CHANGED: u32 = 100;
const ALL: u32 = 310;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success(), "{copied}");
}

/// A read node within this process.
struct Reader {
    cache: Arc<ViewCache>,
    follower: Follower,
}

impl Reader {
    async fn start(store: Arc<CqlStore>) -> Self {
        let cache = ViewCache::new(store.clone(), &CacheConfig::default(), None, now);
        let follower = Follower::start(store, cache.clone(), Duration::from_millis(10), now).await.unwrap();
        Self { cache, follower }
    }

    /// Polls until the node answers. Unlike `until_async`, the failure shows the last error.
    async fn poll_until_reached(&mut self) {
        let started = Instant::now();
        while let Err(error) = self.follower.poll().await {
            assert!(started.elapsed() < REACHED, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The version of a subject's view in an answer; `None` without an answer.
    async fn shown(&self, n: u32) -> Option<Version> {
        let answer = self.cache.get(subject(n), Version::ABSENT).await.ok()?;
        Some(answer.entry.version())
    }

    /// The version in the first answer.
    async fn wait_for_answer(&self, n: u32) -> Version {
        let mut shown = None;
        until_async(&format!("an answer about {n}"), REACHED, async || {
            shown = self.shown(n).await;
            shown.is_some()
        })
        .await;
        shown.expect("set before the wait ended")
    }
}

/// The node is drained and the tables of the region's keyspace are copied; more events are accepted; the copy is
/// put back. A reader that runs all the while takes nothing back, and after the rebuild it shows every subject
/// as derived from its events.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_keyspace_is_rebuilt_under_its_readers() {
    let cluster = Cluster::start(ClusterOptions::default());
    let options = quick(options(&cluster, "restored", "xian"));
    let node = cluster.node(1, 1);
    let tables = node.tables("restored_xian");
    let backup = tables.with_file_name("backup");
    let store = open(&options).await;
    let mut reader = Reader::start(store.clone()).await;
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..IN_BACKUP, "a").await;
    writer.close().await.unwrap();
    let in_backup = views(&store, ALL).await;
    drop(store);
    node.stop();
    copy(&tables, &backup);
    node.start();

    let store = CqlStore::open(options.clone()).await.unwrap();
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, (0..CHANGED).chain(IN_BACKUP..ALL), "b").await;
    writer.close().await.unwrap();
    reader.poll_until_reached().await;
    let mut shown = Vec::new();
    for n in 0..ALL {
        shown.push(reader.wait_for_answer(n).await);
    }
    drop(store);
    node.stop();
    fs::remove_dir_all(&tables).unwrap();
    fs::rename(&backup, &tables).unwrap();
    node.start();

    let store = CqlStore::open(options.clone()).await.unwrap();
    assert_eq!(views(&store, ALL).await, in_backup, "the backup was not restored");
    reader.poll_until_reached().await;
    for n in 0..ALL {
        let (version, before) = (reader.shown(n).await, shown[n as usize]);
        assert!(version.is_none_or(|version| version == before), "{n}: {version:?} after {before:?}");
    }
    let generation = reader.cache.generation();

    let report = rebuild(&options, Arc::new(Rules::built_in()), yima_harness::samples::token_keys(), None, |_| ())
        .await
        .unwrap();
    assert_eq!(report.subjects, u64::from(ALL));
    reader.poll_until_reached().await;
    assert_ne!(reader.cache.generation(), generation, "the reader kept its generation");
    let subjects: Vec<_> = (0..ALL).map(subject).collect();
    let events = store.events(&subjects).await.unwrap();
    let rebuilt = views(&store, ALL).await;
    for n in 0..ALL {
        let (version, events_of_view, _) = rebuilt[&n];
        assert_eq!(events_of_view, derive(&events[n as usize], &Rules::built_in()).events, "{n}");
        assert!(version >= Version::floor(2));
        assert_eq!(events_of_view.count, if n < CHANGED { 2 } else { 1 }, "{n}");
        assert_eq!(reader.wait_for_answer(n).await, version, "{n}");
    }
}
