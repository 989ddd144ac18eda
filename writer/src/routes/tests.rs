//! Rows over the real embedded store.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use serde_json::json;
use tokio::sync::Mutex;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::jwt::{Issuer, Verifier};
use yima_service::lifecycle::{Lifecycle, LifecycleConfig};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

use super::rows::{Atomicity, RowAnswer, Status, commit};
use super::sender::Sender;
use super::*;
use crate::config::WriterConfig;
use crate::fold::Folder;
use crate::ingest::Input;

/// Held by a test, the clock stands still, and with it all rows that are being read.
static CLOCK: Mutex<()> = Mutex::const_new(());
/// Batches that were begun.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

fn clock() -> Time {
    BEGUN.fetch_add(1, Ordering::SeqCst);
    drop(CLOCK.blocking_lock());
    Time::from_secs(1_790_000_000)
}

async fn app(config: WriterConfig) -> (tempfile::TempDir, Arc<App>) {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::new("xian", [0; 16])).unwrap();
    let folder = Arc::new(Folder::start(store, Arc::new(Rules::built_in())).await.unwrap());
    let issuer = Issuer::from_pkcs8(&Issuer::generate().unwrap().0, "test").unwrap();
    let verifier = Verifier::from_jwks(&serde_json::to_string(&issuer.jwks()).unwrap(), "test").unwrap();
    let lifecycle = Lifecycle::new(LifecycleConfig { drain_wait: Default::default(), ..Default::default() });
    let room = Arc::new(DiskSpace::new(dir.path().to_owned(), 0));
    (dir, App::new(folder, room, PseudonymKey::from_bytes(&[1; 32]), verifier, config, lifecycle, clock))
}

async fn send(app: &Arc<App>, id: &str) -> Vec<RowAnswer> {
    let event = json!({
        "id": id, "kind": "test_result", "subject": {"document_type": "passport", "document_number": "E12345678"},
        "occurred_at": "2026-09-21T07:30:00Z", "data": {"test": "antigen", "result": "negative"}
    });
    let sender = Sender::named(app, "lab-7".into()).await.ok().unwrap();
    commit(app, &sender, vec![(1, Input::Event(event.to_string().into()))], Atomicity::Each).await
}

/// Goes on with `work` until `done`, and not to its end.
async fn until<T>(mut work: std::pin::Pin<&mut impl Future<Output = T>>, done: impl Fn() -> bool) {
    std::future::poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending(), "it was to wait");
        context.waker().wake_by_ref();
        if done() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn rows_keep_their_place_when_their_client_has_gone() {
    let mut config = WriterConfig::default();
    config.http.max_in_flight = std::num::NonZeroUsize::MIN;
    let (_dir, app) = app(config).await;
    let held = CLOCK.lock().await;
    {
        let gone = pin!(send(&app, "t-1"));
        until(gone, || BEGUN.load(Ordering::SeqCst) == 1).await;
    }
    {
        let waits = pin!(send(&app, "t-2"));
        until(waits, || true).await;
    }
    drop(held);
    assert_eq!(send(&app, "t-3").await[0].status, Status::Accepted);
    assert_eq!(send(&app, "t-1").await[0].status, Status::Duplicate, "what was begun is finished");
    app.lifecycle.stop();
    app.lifecycle.run_until_stopped().await.unwrap();
    assert_eq!(BEGUN.load(Ordering::SeqCst), 3, "who left while waiting had begun something");
}
