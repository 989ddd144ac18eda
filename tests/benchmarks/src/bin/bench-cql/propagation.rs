//! How soon an event shows on read nodes of its region and of another one 100 ms of round trip away: nodes that only
//! poll beside nodes that writers give hints, about the same events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use yima_harness::{Cluster, now};
use yima_read_api::cache::ViewCache;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use crate::figures::report_times;
use crate::regions::{Reader, Regions, serve_hints};
use crate::samples;

/// For an event to become visible.
const PATIENCE: Duration = Duration::from_secs(30);

/// A read node of each kind.
struct Readers {
    polling: Reader,
    hinted: Reader,
}

impl Readers {
    async fn start(cluster: &Cluster, region: &str, writer: String) -> Self {
        Self {
            polling: Reader::start(cluster, region, Vec::new()).await,
            hinted: Reader::start(cluster, region, vec![writer]).await,
        }
    }

    fn each(&self) -> [&Reader; 2] {
        [&self.polling, &self.hinted]
    }
}

/// Measures events one by one, then events that follow one another closely; `count` of the latter.
pub(crate) async fn measure(cluster: &Cluster, regions: &Regions, count: usize) {
    let _following = regions.follow();
    let xian = Readers::start(cluster, "xian", serve_hints(regions.xian.folder.published()).await).await;
    let chengdu = Readers::start(cluster, "chengdu", serve_hints(regions.chengdu.folder.published()).await).await;
    let readers = [xian.each(), chengdu.each()].concat();
    regions.xian.folder.commit(samples::events(2_000)).await.expect("the database answers");
    // A pause of no multiple of a poll.
    visible(regions, &readers, "one by one", count / 5, Duration::from_millis(437)).await;
    visible(regions, &readers, "50 a second", count, Duration::from_millis(20)).await;
}

/// Measures the time from the acknowledgement of events in xian, one every `pause`, until each read node shows them.
async fn visible(regions: &Regions, readers: &[&Reader], what: &str, count: usize, pause: Duration) {
    let events = samples::events(count);
    let subjects: Vec<_> = events.iter().map(|event| event.event.subject).collect();
    for reader in readers {
        reader.cache_absence(&subjects).await;
    }
    let mut pace = tokio::time::interval(pause);
    let mut tasks = JoinSet::new();
    for event in events {
        pace.tick().await;
        let folder = Arc::clone(&regions.xian.folder);
        let views: Vec<_> = readers.iter().map(|reader| reader.views()).collect();
        tasks.spawn(async move {
            let (subject, sent) = (event.event.subject, Instant::now());
            folder.commit(vec![event]).await.expect("the database answers");
            let acknowledged = Instant::now();
            let shown = futures::future::join_all(views.into_iter().map(|views| shown(views, subject, acknowledged)));
            [vec![acknowledged - sent], shown.await].concat()
        });
    }
    let times = tasks.join_all().await;
    let report = |n: usize, step: &str| {
        report_times(&format!("{what}: {step}"), times.iter().map(|times| times[n].as_secs_f64() * 1e3).collect());
    };
    report(0, "sent → acknowledged");
    report(1, "acknowledged → visible in its region, polls every 200 ms");
    report(2, "the same with hints (goal: p50 50 ms, p99 150 ms)");
    report(3, "acknowledged → visible in the other region, polls every 200 ms");
    report(4, "the same with hints (goal: p99 400 ms)");
}

/// The time from `since` until a read node shows that the subject has a view.
async fn shown(views: Arc<ViewCache>, subject: SubjectId, since: Instant) -> Duration {
    let is_shown = || views.peek(subject, Version::ABSENT, now()).is_some_and(|answer| !answer.entry.is_absent());
    while !is_shown() {
        assert!(since.elapsed() < PATIENCE, "an event was not visible within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    since.elapsed()
}
