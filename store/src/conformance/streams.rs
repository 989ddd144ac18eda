//! Streams of changes: dense, complete, and sealed for good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::fixture::{all_changes, change, publish, subject};
use super::{ConformanceError, Harness, Store, ensure};
use crate::{Published, StreamId, StreamState};

async fn state(store: &Arc<dyn Store>, stream: StreamId) -> Result<StreamState, ConformanceError> {
    let state = store.registry().await?.streams.into_iter().find(|s| s.id == stream);
    state.ok_or_else(|| ConformanceError("an open stream, or one with rows, is not in the registry".into()))
}

pub(super) async fn stream_ids_are_never_reused(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (a, b) = (store.open_stream().await?, store.open_stream().await?);
    ensure!(a != b, "two streams got one id");
    let fresh = StreamState { id: a, last: 0, open: true };
    ensure!(state(&store, a).await? == fresh, "a new stream is not open and empty");
    store.close_stream(b).await?;
    let store = harness.reopen(store).await;
    let c = store.open_stream().await?;
    ensure!(c != a && c != b, "a restart reused an id");
    Ok(())
}

pub(super) async fn concurrent_publishers_leave_no_gap(harness: &dyn Harness) -> Result<(), ConformanceError> {
    const PUBLISHERS: u64 = 8;
    const CALLS: u64 = 20;
    let store = harness.open().await;
    let stream = store.open_stream().await?;
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let store = Arc::clone(&store);
        publishers.spawn(async move {
            for call in 0..CALLS {
                let version = publisher * CALLS + call + 1;
                publish(&*store, stream, vec![change(subject(), version); 3]).await?;
            }
            Ok::<_, ConformanceError>(())
        });
    }
    while let Some(done) = publishers.join_next().await {
        done??;
    }
    let rows = all_changes(&store, stream).await?;
    let total = PUBLISHERS * CALLS * 3;
    ensure!(rows.iter().map(|r| r.0).eq(1..=total), "{} numbers of {total} are not dense and ascending", rows.len());
    let versions: BTreeSet<_> = rows.iter().map(|r| r.1.version.0).collect();
    ensure!(versions.into_iter().eq(1..=PUBLISHERS * CALLS), "a published change is missing");
    store.close_stream(stream).await?;
    ensure!(state(&store, stream).await?.last == total, "the registry has another last number");
    Ok(())
}

pub(super) async fn a_published_change_can_be_read(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let stream = store.open_stream().await?;
    for number in 1..=20 {
        publish(&*store, stream, vec![change(subject(), number)]).await?;
        let last = state(&store, stream).await?.last;
        ensure!(last <= number, "the registry has {last}, and {number} is the newest number");
        let rows = store.changes(stream, number - 1, 10).await?;
        ensure!(
            rows.iter().any(|r| r.1.as_ref().is_some_and(|change| change.version.0 == number)),
            "a published change cannot be read"
        );
    }
    Ok(())
}

pub(super) async fn changes_come_in_pages(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (stream, other) = (store.open_stream().await?, store.open_stream().await?);
    let s = subject();
    let written: Vec<_> = (1..=250).map(|version| change(s, version)).collect();
    publish(&*store, stream, written.clone()).await?;
    publish(&*store, other, vec![change(s, 1_000)]).await?;
    let read = all_changes(&store, stream).await?;
    ensure!(read.iter().map(|r| &r.1).eq(&written), "pages are not the published changes in their order");
    let middle = store.changes(stream, 100, 7).await?;
    ensure!(middle.iter().map(|r| r.0).eq(101..=107), "a page of 7 after 100 is not 101 to 107");
    for after in [250, 251, u64::MAX] {
        ensure!(store.changes(stream, after, 7).await?.is_empty(), "there are rows above the last number");
    }
    Ok(())
}

pub(super) async fn a_sealed_stream_takes_no_more_changes(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let stream = store.open_stream().await?;
    publish(&*store, stream, vec![change(subject(), 1); 2]).await?;
    for _ in 0..2 {
        store.close_stream(stream).await?; // the second one changes nothing
        let closed = StreamState { id: stream, last: 2, open: false };
        ensure!(state(&store, stream).await? == closed, "the registry has a sealed stream in another state");
    }
    let published = store.publish(stream, vec![change(subject(), 3)], Vec::new()).await?;
    ensure!(published == Published::Sealed, "a sealed stream took a change");
    ensure!(all_changes(&store, stream).await?.len() == 2, "a sealed stream has other rows than before");
    Ok(())
}

pub(super) async fn a_restart_seals_streams_and_keeps_rows(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let stream = store.open_stream().await?;
    publish(&*store, stream, (1..=9).map(|version| change(subject(), version)).collect()).await?;
    let before = all_changes(&store, stream).await?;
    let store = harness.reopen(store).await;
    let closed = StreamState { id: stream, last: 9, open: false };
    ensure!(state(&store, stream).await? == closed, "a dead writer's stream is not sealed at its last number");
    ensure!(all_changes(&store, stream).await? == before, "a restart changed a stream's rows");
    Ok(())
}

pub(super) async fn a_publication_wakes_a_follower(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let stream = store.open_stream().await?;
    for number in 1..=3 {
        publish(&*store, stream, vec![change(subject(), number)]).await?;
        // An engine that has to poll may take its poll interval.
        let woken = tokio::time::timeout(Duration::from_secs(5), store.woken()).await;
        ensure!(woken.is_ok(), "a follower slept through a publication");
    }
    Ok(())
}
