//! Two regions of a writer each, their read nodes, and how fast one region catches up with the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use yima_harness::{Cluster, now};
use yima_read_api::Hints;
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::rules::Rules;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::view::Version;
use yima_store::cql::{CqlStore, migrate};
use yima_store::{MarkFeed, Source, StreamId, ViewReader};
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;

use crate::events::{BATCH, CALLERS, commit};
use crate::{options, samples};

/// From one read of a position to the next.
const POLL: Duration = Duration::from_millis(100);

/// A writer of each region.
pub(crate) struct Regions {
    pub(crate) xian: Writer,
    pub(crate) chengdu: Writer,
}

/// The writer of a region.
pub(crate) struct Writer {
    pub(crate) store: Arc<CqlStore>,
    pub(crate) folder: Arc<Folder>,
}

/// A read node, with a database session of its own.
pub(crate) struct Reader {
    views: Arc<ViewCache>,
    /// End with it.
    _tasks: JoinSet<()>,
}

impl Reader {
    /// Polls every 200 ms, as is the default; with writers, it also listens to their hints.
    pub(crate) async fn start(cluster: &Cluster, region: &str, writers: Vec<String>) -> Self {
        let config = CacheConfig::default();
        let store = CqlStore::open(options(cluster, region)).await.expect("the schema exists");
        let views = ViewCache::new(store.clone(), &config, None, now);
        let follower = Follower::start(store, Arc::clone(&views), config.poll_every, now).await;
        let follower = follower.expect("the database answers");
        let (mut tasks, (hinted, hints)) = (JoinSet::new(), mpsc::channel(1));
        tasks.spawn(Hints::new(writers, &pseudonym_key()).listen(hinted));
        tasks.spawn(follower.run(hints));
        Self { views, _tasks: tasks }
    }

    /// Its cache.
    pub(crate) fn views(&self) -> Arc<ViewCache> {
        Arc::clone(&self.views)
    }

    /// Caches the absence of the subjects' views, as after a first lookup.
    pub(crate) async fn cache_absence(&self, subjects: &[SubjectId]) {
        for subject in subjects {
            let answer = self.views.get(*subject, Version::ABSENT).await;
            assert!(answer.is_ok_and(|answer| answer.entry.is_absent()), "no subject has a view yet");
        }
    }
}

/// Hints at publications, as a writer's public port does; returns its address.
pub(crate) async fn serve_hints(published: watch::Receiver<StreamId>) -> String {
    let hints = yima_writer::hints::Hints::new(&pseudonym_key(), published, CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, yima_writer::hints::router(hints)).await });
    address
}

fn pseudonym_key() -> PseudonymKey {
    PseudonymKey::from_bytes(&[7; 32])
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
        Self { xian: writer("xian").await, chengdu: writer("chengdu").await }
    }

    /// Lets chengdu follow xian until the set is dropped.
    pub(crate) fn follow(&self) -> JoinSet<()> {
        let Writer { store, folder } = &self.chengdu;
        let mut following = JoinSet::new();
        following.spawn(MarkFollower::new(store.clone(), Arc::clone(folder)).run());
        following
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
        drop(following);
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
