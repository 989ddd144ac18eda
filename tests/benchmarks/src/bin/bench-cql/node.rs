//! The cost to the database of a read node without requests: idle, and while changes are published in its region.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yima_harness::Cluster;
use yima_schema::rules::Rules;
use yima_store::{Published, StreamId, WriterStore};

use crate::connections::Connections;
use crate::regions::{Reader, Regions, serve_hints};
use crate::samples::{self, first_change};

/// Changes per second.
const CHANGES: usize = 1_000;
/// Publications per second.
const PUBLICATIONS: usize = 50;

/// Measures both, each for this many seconds, of a node that only polls and of one that is given hints.
pub(crate) async fn cost(cluster: &Cluster, regions: &Regions, seconds: usize) {
    let (published, hints) = watch::channel(StreamId(0));
    let writer = serve_hints(hints).await;
    let bytes = first_change(&samples::events(1)[0], &Rules::built_in()).encode().len();
    for (name, writers) in [("a polling read node", Vec::new()), ("a hinted read node", vec![writer])] {
        let (connections, reader) = Connections::of(cluster, Reader::start(cluster, "xian", writers)).await;
        // Its requests at the start are over by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        measure(&connections, &format!("{name}, idle"), async {
            tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
            0
        })
        .await;
        let publishing = format!("{name}, while changes of {bytes} bytes are published");
        measure(&connections, &publishing, publish(regions, seconds, &published)).await;
        drop(reader);
    }
}

async fn measure(connections: &Connections<'_>, when: &str, work: impl Future<Output = usize>) {
    let (before, start) = (connections.traffic().await, Instant::now());
    let changes = work.await;
    let (after, seconds) = (connections.traffic().await, start.elapsed().as_secs_f64());
    let per_second = |before: u64, after: u64| (after - before) as f64 / seconds;
    report!(
        "{when} ({:.0}/s): {:.1} requests/s, {:.0} bytes/s received, {:.0} bytes/s sent, {} connections",
        changes as f64 / seconds,
        per_second(before.requests, after.requests),
        per_second(before.received_bytes, after.received_bytes),
        per_second(before.sent_bytes, after.sent_bytes),
        connections.count()
    );
}

/// Publishes changes in xian, evenly paced; returns their number.
async fn publish(regions: &Regions, seconds: usize, hinted: &watch::Sender<StreamId>) -> usize {
    let (store, rules) = (&regions.xian.store, Arc::new(Rules::built_in()));
    let stream = store.open_stream().await.expect("a stream");
    let of_each = CHANGES / PUBLICATIONS;
    let publications = PUBLICATIONS * seconds;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PUBLICATIONS as u32);
    for _ in 0..publications {
        let changes = samples::events(of_each).iter().map(|event| first_change(event, &rules)).collect();
        pace.tick().await;
        let published = store.publish(stream, changes, Vec::new()).await.expect("the database answers");
        assert_eq!(published, Published::Open);
        hinted.send_replace(stream);
    }
    store.close_stream(stream).await.expect("an open stream");
    publications * of_each
}
