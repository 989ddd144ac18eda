//! A backup of a region's keyspace that is put back.

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

use super::full_scans::{commit, folder, quick, subject, views};
use super::{open, options};

/// For a reader to reach a node again that was away.
const REACHED: Duration = Duration::from_secs(30);

/// People in the backup, those of them who have more events afterwards, and all.
const OLD: u32 = 300;
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

    /// Polls until the node answers.
    async fn polls(&mut self) {
        let begun = Instant::now();
        while let Err(fault) = self.follower.poll().await {
            assert!(begun.elapsed() < REACHED, "{fault}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The version of the view that somebody is shown; `None`: there is no answer.
    async fn shows(&self, n: u32) -> Option<Version> {
        let answer = self.cache.get(subject(n), Version::ABSENT).await.ok()?;
        Some(answer.entry.version())
    }

    /// The same, asked until there is an answer.
    async fn shows_at_last(&self, n: u32) -> Version {
        let begun = Instant::now();
        loop {
            if let Some(version) = self.shows(n).await {
                return version;
            }
            assert!(begun.elapsed() < REACHED, "{n}: there is no answer");
        }
    }
}

/// The node is drained and the tables of the region's keyspace are copied; more events come; the tables are put back as they were. A reader that
/// has gone on all the time takes nothing back, and after the rebuild it shows everybody as the events are.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_whose_backup_was_restored_is_rebuilt_under_its_readers() {
    let cluster = Cluster::start(ClusterOptions::default());
    let options = quick(options(&cluster, "restored", "xian"));
    let node = cluster.node(1, 1);
    let tables = node.tables("restored_xian");
    let backup = tables.with_file_name("backup");
    let store = open(&options).await;
    let mut reader = Reader::start(store.clone()).await;
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, 0..OLD, "a").await;
    writer.close().await.unwrap();
    let in_backup = views(&store, ALL).await;
    drop(store);
    node.stop();
    copy(&tables, &backup);
    node.start();

    let store = CqlStore::open(options.clone()).await.unwrap();
    let writer = folder(&store, 1).await.unwrap();
    commit(&writer, (0..CHANGED).chain(OLD..ALL), "b").await;
    writer.close().await.unwrap();
    reader.polls().await;
    let mut shown = Vec::new();
    for n in 0..ALL {
        shown.push(reader.shows_at_last(n).await);
    }
    drop(store);
    node.stop();
    fs::remove_dir_all(&tables).unwrap();
    fs::rename(&backup, &tables).unwrap();
    node.start();

    let store = CqlStore::open(options.clone()).await.unwrap();
    assert_eq!(views(&store, ALL).await, in_backup, "the backup was not restored");
    reader.polls().await;
    for n in 0..ALL {
        let now = reader.shows(n).await;
        assert!(now.is_none_or(|now| now == shown[n as usize]), "{n}: {now:?} after {:?}", shown[n as usize]);
    }
    let generation = reader.cache.generation();

    let report = rebuild(&options, Arc::new(Rules::built_in()), None, |_| ()).await.unwrap();
    assert_eq!(report.subjects, u64::from(ALL));
    reader.polls().await;
    assert_ne!(reader.cache.generation(), generation, "a reader goes on as if nothing had happened");
    let subjects: Vec<_> = (0..ALL).map(subject).collect();
    let events = store.events(&subjects).await.unwrap();
    let rebuilt = views(&store, ALL).await;
    for n in 0..ALL {
        let (version, events_of_view, _) = rebuilt[&n];
        assert_eq!(events_of_view, derive(&events[n as usize], &Rules::built_in()).events, "{n}");
        assert!(version >= Version::floor(2));
        assert_eq!(events_of_view.count, if n < CHANGED { 2 } else { 1 }, "{n}");
        assert_eq!(reader.shows_at_last(n).await, version, "{n}");
    }
}
