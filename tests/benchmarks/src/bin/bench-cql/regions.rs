//! Two regions: how soon an event is visible in each, and how fast one catches up with the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use yima_harness::{Cluster, now};
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_store::cql::{CqlStore, migrate};
use yima_store::{MarkFeed, Source, ViewReader};
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;

use crate::events::{BATCH, CALLERS, commit};
use crate::figures::report_times;
use crate::{options, samples};

/// Events per second while times are measured.
const PACE: u64 = 50;
/// For an event to become visible.
const PATIENCE: Duration = Duration::from_secs(30);

/// From one read of a position to the next.
const POLL: Duration = Duration::from_millis(100);

/// A writer of each region.
pub(crate) struct Regions {
    pub(crate) xian: Writer,
    chengdu: Writer,
    /// A read node of each region, with a database session of its own.
    readers: [Reader; 2],
}

/// The writer of a region.
pub(crate) struct Writer {
    pub(crate) store: Arc<CqlStore>,
    folder: Arc<Folder>,
}

/// A read node.
pub(crate) struct Reader {
    views: Arc<ViewCache>,
    following: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Reader {
    pub(crate) async fn start(cluster: &Cluster, region: &str) -> Self {
        let config = CacheConfig::default();
        let store = CqlStore::open(options(cluster, region)).await.expect("the schema exists");
        let views = ViewCache::new(store.clone(), &config, None, now);
        let follower = Follower::start(store, Arc::clone(&views), config.poll_every, now).await;
        let follower = follower.expect("the database answers");
        Self { views, following: tokio::spawn(follower.run()) }
    }

    /// Caches the absence of the subjects' views, as after a first lookup.
    async fn cache_absence(&self, subjects: &[SubjectId]) {
        for subject in subjects {
            let answer = self.views.get(*subject, Version::ABSENT).await;
            assert!(answer.is_ok_and(|answer| answer.entry.is_absent()), "no subject has a view yet");
        }
    }
}

impl Regions {
    pub(crate) async fn open(cluster: &Cluster) -> Self {
        let names = ["xian", "chengdu"];
        // Both before the first read of the list of regions, which is cached for half a minute.
        for region in names {
            migrate(&options(cluster, region), None, now()).await.expect("the cluster accepts the schema");
        }
        let writer = async |region| {
            let store = CqlStore::open(options(cluster, region)).await.expect("the schema exists");
            let folder = Folder::start(store.clone(), Arc::new(Rules::built_in()), yima_harness::samples::token_keys())
                .await
                .expect("a stream");
            Writer { store, folder: Arc::new(folder) }
        };
        let readers = [Reader::start(cluster, "xian").await, Reader::start(cluster, "chengdu").await];
        Self { xian: writer("xian").await, chengdu: writer("chengdu").await, readers }
    }

    fn follow(&self) -> JoinHandle<()> {
        let Writer { store, folder } = &self.chengdu;
        tokio::spawn(MarkFollower::new(store.clone(), Arc::clone(folder)).run())
    }

    /// Measures the time from the acknowledgement of an event in xian until a read node of each region shows it.
    pub(crate) async fn visible(&self, count: usize) {
        let following = self.follow();
        let warm_up = samples::events(2_000);
        self.xian.folder.commit(warm_up).await.expect("the database answers");
        let events = samples::events(count);
        let subjects: Vec<_> = events.iter().map(|event| event.event.subject).collect();
        for reader in &self.readers {
            reader.cache_absence(&subjects).await;
        }
        let mut pace = tokio::time::interval(Duration::from_millis(1_000 / PACE));
        let mut tasks = JoinSet::new();
        for event in events {
            pace.tick().await;
            let folder = Arc::clone(&self.xian.folder);
            let [here, there] = self.readers.each_ref().map(|reader| Arc::clone(&reader.views));
            tasks.spawn(async move {
                let (subject, sent) = (event.event.subject, Instant::now());
                folder.commit(vec![event]).await.expect("the database answers");
                let acknowledged = Instant::now();
                let (here, there) =
                    tokio::join!(visible(here, subject, acknowledged), visible(there, subject, acknowledged));
                [acknowledged - sent, here, there]
            });
        }
        let times = tasks.join_all().await;
        let of = |n: usize| times.iter().map(|times| times[n].as_secs_f64() * 1e3).collect();
        report_times(&format!("an event sent → acknowledged, {PACE}/s"), of(0));
        report_times("acknowledged → visible in its region (goal: p99 below 500 ms)", of(1));
        report_times("acknowledged → visible in the other (goal: p99 below 1000 ms)", of(2));
        following.abort();
    }

    /// Measures how fast chengdu folds the events that xian accepted while chengdu did not follow.
    pub(crate) async fn drain(&self, count: usize) {
        let events = samples::events(count);
        let subjects: Vec<_> = events.iter().step_by((count / 500).max(1)).map(|event| event.event.subject).collect();
        let committed = commit(&self.xian.folder, events, BATCH, CALLERS).await;
        report!("{count} events accepted in xian: {:.0} events/s", committed.per_second);
        // The next heartbeat tells the end of the stream.
        let accepted = now();
        let end = loop {
            let source = self.source().await;
            if source.as_of >= accepted {
                break source.written;
            }
            tokio::time::sleep(POLL).await;
        };
        let behind = end - self.source().await.position;
        let (following, start) = (self.follow(), Instant::now());
        while self.source().await.position < end {
            tokio::time::sleep(POLL).await;
        }
        let took = start.elapsed().as_secs_f64();
        following.abort();
        let found = self.chengdu.store.lookup_many(&subjects).await.expect("the database answers");
        assert!(found.iter().all(Option::is_some), "a position passed marks that are not folded");
        report!("{behind} marks folded in chengdu in {took:.1} s: {:.0} events/s", behind as f64 / took);
    }

    /// The stream of xian's writer, as chengdu follows it.
    async fn source(&self) -> Source {
        let sources = self.chengdu.store.sources().await.expect("the database answers");
        sources.into_iter().find(|source| source.region == "xian").expect("an open stream")
    }
}

/// The time from `since` until a read node shows that the subject has a view.
async fn visible(views: Arc<ViewCache>, subject: SubjectId, since: Instant) -> Duration {
    let is_visible = || views.peek(subject, Version::ABSENT, now()).is_some_and(|answer| !answer.entry.is_absent());
    while !is_visible() {
        assert!(since.elapsed() < PATIENCE, "an event was not visible within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    since.elapsed()
}
