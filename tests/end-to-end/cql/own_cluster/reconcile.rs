//! `reconcile` between two regions of which one was down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yima_harness::{Cluster, ClusterOptions, now};
use yima_schema::rules::Rules;
use yima_schema::view::{EventSet, Version, View};
use yima_store::cql::CqlStore;
use yima_store::{CompareAndSet, ViewReader, ViewWrite, WriterStore};
use yima_writer::follow::MarkFollower;
use yima_writer::reconcile::{self, Report, reconcile};

use crate::cql::many_subjects::{commit, folder, quick, subject, views};
use crate::cql::{open, options};
use crate::until_async;

async fn reconciled(store: &Arc<CqlStore>, report: bool) -> Report {
    let settle = Duration::from_millis(100);
    let options = reconcile::Options { report, rate: None, without: Vec::new(), restart: false, settle, clock: now };
    reconcile(store, Arc::new(Rules::built_in()), yima_harness::samples::token_keys(), options, |_| ()).await.unwrap()
}

/// Without hints, events and marks that one region accepts while the other is down never reach that one by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn reconciling_brings_missed_events_and_then_finds_none() {
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
    // One view is older than its events, and one is corrupt.
    for (n, view) in [(20, View::default().encode()), (21, bytes::Bytes::from_static(b"?"))] {
        let expected = there.lookup(subject(n)).await.unwrap().unwrap().version;
        let write = ViewWrite { subject: subject(n), expected, next: expected.next(1), view, denials: Vec::new() };
        assert_eq!(there.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    }

    let found = Report { subjects: u64::from(ALL), behind: 2, fetched: 15, sent: 0, unreadable: 0, part: 1.0 };
    assert_eq!(reconciled(&there, true).await, found, "a report");
    assert_eq!(reconciled(&there, true).await, found, "a report changes nothing");
    assert_eq!(
        reconciled(&here, true).await,
        Report { behind: 0, fetched: 0, sent: 15, ..found },
        "a report of the other region"
    );
    assert_eq!(reconciled(&there, false).await, found, "a repair");
    assert_same_events(&here, &there, ALL).await;
    let clean = Report { behind: 0, fetched: 0, ..found };
    assert_eq!(reconciled(&there, false).await, clean, "a second repair");
    assert_eq!(reconciled(&here, false).await, clean, "a repair by the other region");

    // The other direction: the region with more events sends them, with marks.
    drop(there);
    cluster.node(2, 1).stop();
    commit(&writer, 30..40, "c").await;
    cluster.node(2, 1).start();
    let there = CqlStore::open(chengdu.clone()).await.unwrap();
    let follower = MarkFollower::new(there.clone(), Arc::new(folder(&there, 1).await.unwrap()));
    let following = tokio::spawn(follower.run());
    assert_eq!(reconciled(&here, false).await, Report { sent: 10, ..clean });
    let all_folded = async || views(&there, ALL).await.values().map(|(_, events, _)| events.count).sum::<u32>() >= 125;
    until_async("folds of all marked events", Duration::from_secs(60), all_folded).await;
    assert_same_events(&here, &there, ALL).await;
    assert_eq!(reconciled(&there, false).await, clean);
    following.abort();
}

/// The views of both regions are made from the same events.
async fn assert_same_events(here: &CqlStore, there: &CqlStore, count: u32) {
    let (here, there) = (views(here, count).await, views(there, count).await);
    let events = |views: BTreeMap<u32, (Version, EventSet, u32)>| -> BTreeMap<u32, EventSet> {
        views.into_iter().map(|(n, (_, events, _))| (n, events)).collect()
    };
    assert_eq!(events(here), events(there));
}
