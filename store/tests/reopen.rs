//! A directory opened again: its data, and the refusals.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{
    Appended, CompareAndSet, EventReader, Feed, Published, StoreError, StreamState, ViewReader, ViewWrite, WriterStore,
};

use crate::fixture::{change, event, open, options, subject, view};

fn now() -> Time {
    Time::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

fn refusal(path: &Path, options: EmbeddedOptions) -> String {
    match EmbeddedStore::open(path, options) {
        Err(StoreError::Rejected(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_restart_keeps_events_views_changes_and_marks() {
    let dir = tempfile::tempdir().unwrap();
    let s = subject(1);
    let store = open(dir.path());
    let (store_id, v1) = (store.store_id(), Version::ABSENT.next(store.epoch()));
    let stream = store.open_stream().await.unwrap();
    let outcomes = store.append(vec![event(s, "a"), event(s, "b")]).await.unwrap();
    let [Appended::New(a), Appended::New(b)] = outcomes[..] else { panic!("{outcomes:?}") };
    let write = ViewWrite { subject: s, expected: Version::ABSENT, next: v1, view: view(v1), denials: Vec::new() };
    assert_eq!(store.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    assert_eq!(store.publish(stream, vec![change(s, v1)], vec![a]).await.unwrap(), Published::Open);
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.store_id(), store_id);
    assert_eq!(store.events(&[s]).await.unwrap(), [vec![event(s, "a"), event(s, "b")]]);
    let found = store.lookup(s).await.unwrap().unwrap();
    assert!(found.version == v1 && found.view == view(v1));
    assert_eq!(store.registry().await.unwrap().streams, [StreamState { id: stream, last: 1, open: false }]);
    assert!(store.changes(stream, 0, 10).await.unwrap() == [(1, Some(change(s, v1)))]);
    assert_eq!(store.unsettled().await.unwrap(), [(b, s)]);
    assert!(store.open_stream().await.unwrap() > stream);
    let again = store.append(vec![event(s, "a")]).await.unwrap();
    assert!(matches!(again[..], [Appended::Duplicate(mark)] if mark > b), "a mark's number was reused");
}

#[tokio::test]
async fn a_closed_store_reads_and_does_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(vec![event(subject(1), "a")]).await.unwrap();
    store.close().await;
    assert!(matches!(store.append(vec![event(subject(1), "b")]).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.events(&[subject(1)]).await.unwrap().concat(), [event(subject(1), "a")]);
    store.close().await;
}

#[tokio::test]
async fn a_request_sent_before_a_drop_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let task = tokio::spawn({
        let store = store.clone();
        async move { store.append((0..500).map(|n| event(subject(n), "a")).collect()).await }
    });
    drop(store);
    let outcomes = task.await.unwrap().unwrap();
    assert!(outcomes.iter().all(|o| matches!(o, Appended::New(_))));
    assert_eq!(open(dir.path()).events(&[subject(499)]).await.unwrap()[0].len(), 1);
}

#[test]
fn another_key_region_or_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let locked = open(dir.path());
    assert!(refusal(dir.path(), options()).contains("another process"));
    drop(locked);
    let other_key = refusal(dir.path(), EmbeddedOptions { pseudonym_fingerprint: [8; 16], ..options() });
    assert!(other_key.contains("pseudonym key"), "{other_key}");
    let other_region = refusal(dir.path(), EmbeddedOptions { region: "guangdong".into(), ..options() });
    assert!(other_region.contains("region xian, not guangdong"), "{other_region}");
    drop(open(dir.path()));
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let db = fjall::Database::builder(dir.path()).open().unwrap();
    let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
    meta.insert("format", 3u32.to_be_bytes()).unwrap();
    drop((meta, db));
    let newer = refusal(dir.path(), options());
    assert!(newer.contains("format 3") && newer.contains("reads up to 2"), "{newer}");
}

#[tokio::test]
async fn expired_rows_are_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let store = EmbeddedStore::open(dir.path(), EmbeddedOptions { changes_retention: hour, ..options() }).unwrap();
    let (closed, kept) = (store.open_stream().await.unwrap(), store.open_stream().await.unwrap());
    let rows = |count: u64| (1..=count).map(|n| change(subject(n), Version(n))).collect::<Vec<_>>();
    store.publish(closed, rows(3), Vec::new()).await.unwrap();
    store.close_stream(closed).await.unwrap();
    store.publish(kept, rows(12_000), Vec::new()).await.unwrap(); // more than one piece

    assert_eq!(store.trim(now()).await.unwrap(), 0, "nothing is an hour old");
    assert_eq!(store.trim(now().plus(hour)).await.unwrap(), 12_003);
    let open_and_empty = StreamState { id: kept, last: 12_000, open: true };
    assert_eq!(
        store.registry().await.unwrap().streams,
        [open_and_empty],
        "a sealed stream without rows is still registered"
    );
    assert!(store.changes(kept, 0, 10).await.unwrap().is_empty());
    store.publish(kept, rows(1), Vec::new()).await.unwrap();
    assert_eq!(store.changes(kept, 0, 10).await.unwrap()[0].0, 12_001);
    assert_eq!(store.trim(now().plus(hour)).await.unwrap(), 1);
    drop(store);

    let store = open(dir.path());
    assert_eq!(
        store.registry().await.unwrap().streams,
        [],
        "a stream that was left open, without rows, is still registered"
    );
    assert!(store.open_stream().await.unwrap() > kept, "a stream id was reused");
}
