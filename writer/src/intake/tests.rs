//! The intake on the real embedded store.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::lifecycle::{Lifecycle, LifecycleConfig, Signals};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

use super::*;
use crate::config::WriterConfig;
use crate::decode::RawRow;
use crate::decode::upload::UploadForm;
use crate::fold::Folder;
use crate::operator_file::OperatorFiles;

/// Locked by a test, it stops the clock, and with it the decoding of every row.
static CLOCK: Mutex<()> = Mutex::const_new(());
/// Batches whose decoding has begun.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this is the runtime's own thread. Rows are decoded on others.
    static IS_RUNTIME: Cell<bool> = const { Cell::new(false) };
}

fn clock() -> Time {
    if !IS_RUNTIME.get() {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        drop(CLOCK.blocking_lock());
    }
    Time::from_secs(1_790_000_000)
}

async fn intake(config: WriterConfig, lifecycle: Lifecycle) -> (tempfile::TempDir, Arc<EmbeddedStore>, Intake) {
    IS_RUNTIME.set(true);
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::new("xian", [0; 16])).unwrap();
    let folder = Arc::new(
        Folder::start(store.clone(), Arc::new(Rules::built_in()), crate::fold::tests::token_keys()).await.unwrap(),
    );
    let disk_space = Arc::new(DiskSpace::new(dir.path().to_owned(), 0));
    let files = OperatorFiles::load(&config).unwrap();
    let pseudonyms = PseudonymKey::from_bytes(&[1; 32]);
    let (dead_letters, index) = (store.clone(), store.clone());
    let resources =
        Resources { folder, dead_letters, resources: index, disk_space, pseudonyms, files, config, lifecycle, clock };
    (dir, store, Intake::new(resources))
}

fn event(id: &str) -> bytes::Bytes {
    let event = json!({
        "id": id, "kind": "test_result", "subject": {"document_type": "passport", "document_number": "E12345678"},
        "occurred_at": "2026-09-21T07:30:00Z", "data": {"test": "antigen", "result": "negative"}
    });
    event.to_string().into()
}

async fn send(intake: &Intake, id: &str) -> RowStatus {
    let submission = intake.admit("lab-7".into()).await.ok().unwrap();
    let rows = vec![(1, RawRow::Event(event(id)))];
    let receipt = intake.take(&submission, Upload { form: UploadForm::Event, rows }).await.ok().unwrap();
    receipt.answers[0].status
}

/// Polls `work` until `done`, and expects that it does not end before.
async fn poll_until<T>(mut work: std::pin::Pin<&mut impl Future<Output = T>>, done: impl Fn() -> bool) {
    std::future::poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending(), "the request ended instead of waiting");
        context.waker().wake_by_ref();
        if done() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_batch_keeps_its_permit_after_its_client_has_disconnected() {
    let mut config = WriterConfig::default();
    config.http.max_in_flight = std::num::NonZeroUsize::MIN;
    config.max_in_flight_per_agency = std::num::NonZeroUsize::new(3);
    let lifecycle = Lifecycle::new(LifecycleConfig { drain_wait: Default::default(), ..Default::default() });
    let (_dir, _store, intake) = intake(config, lifecycle.clone()).await;
    let stopped_clock = CLOCK.lock().await;
    {
        let disconnected = pin!(send(&intake, "t-1"));
        poll_until(disconnected, || BEGUN.load(Ordering::SeqCst) == 1).await;
    }
    {
        let waiting = pin!(send(&intake, "t-2"));
        poll_until(waiting, || true).await;
    }
    drop(stopped_clock);
    assert_eq!(send(&intake, "t-3").await, RowStatus::Accepted);
    assert_eq!(send(&intake, "t-1").await, RowStatus::Duplicate, "the batch that had begun was finished");
    lifecycle.stop();
    lifecycle.run_until_stopped(Signals::install().unwrap()).await;
    assert_eq!(BEGUN.load(Ordering::SeqCst), 3, "the request that waited for a permit had begun a batch");
    a_batch_goes_on_after_its_request_was_answered().await;
}

/// A part of the test above, since both stop the clock.
async fn a_batch_goes_on_after_its_request_was_answered() {
    let mut config = WriterConfig { commit_timeout: Duration::from_millis(1), ..WriterConfig::default() };
    config.http.max_in_flight = std::num::NonZeroUsize::MIN;
    config.max_in_flight_per_agency = std::num::NonZeroUsize::new(3);
    let lifecycle = Lifecycle::new(LifecycleConfig { drain_wait: Default::default(), ..Default::default() });
    let (_dir, store, intake) = intake(config, lifecycle.clone()).await;
    let stopped_clock = CLOCK.lock().await;
    let rows = vec![(1, RawRow::Event(event("t-4")))];
    let submission = intake.admit("lab-7".into()).await.ok().unwrap();
    let receipt = intake.take(&submission, Upload { form: UploadForm::Event, rows }).await.ok().unwrap();
    drop(submission);
    assert_eq!(receipt.answers[0].problem, Some(problems::outcome_unknown()));
    assert!(intake.admit("lab-7".into()).await.is_err(), "the batch has given its permit back");
    drop(stopped_clock);
    lifecycle.stop();
    lifecycle.run_until_stopped(Signals::install().unwrap()).await;
    let config = WriterConfig::default();
    let pipeline = &intake.pipeline;
    let next = Intake::new(Resources {
        folder: pipeline.folder.clone(),
        dead_letters: store.clone(),
        resources: store,
        disk_space: pipeline.disk_space.clone(),
        pseudonyms: pipeline.pseudonyms.clone(),
        files: OperatorFiles::load(&config).unwrap(),
        config,
        lifecycle: Lifecycle::new(LifecycleConfig::default()),
        clock,
    });
    assert_eq!(send(&next, "t-4").await, RowStatus::Duplicate, "the batch was finished");
}
