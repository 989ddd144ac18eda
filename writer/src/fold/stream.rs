//! The stream that this process publishes its changes in.

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::Instrument;
use yima_schema::change::Change;
use yima_service::telemetry::span_ref;
use yima_store::{Mark, Published, StoreError, StreamId, WriterStore, span};

use super::rules::RulesGuard;

/// The open stream. Another process may seal it at any time; then a new one replaces it.
pub(super) struct OwnStream {
    id: Mutex<StreamId>,
    /// The stream of the newest publication.
    published: watch::Sender<StreamId>,
}

impl OwnStream {
    /// Opens a stream.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn open(store: &dyn WriterStore) -> Result<Self, StoreError> {
        let id = store.open_stream().await?;
        Ok(Self { id: Mutex::new(id), published: watch::Sender::new(id) })
    }

    /// The stream's id.
    pub(super) fn id(&self) -> StreamId {
        *self.id.lock()
    }

    /// Changes with each publication.
    pub(super) fn published(&self) -> watch::Receiver<StreamId> {
        self.published.subscribe()
    }

    /// Publishes changes and settles their marks; in a new stream if this one has been sealed.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub(super) async fn publish(
        &self,
        store: &dyn WriterStore,
        rules: &RulesGuard,
        changes: &[Change],
        marks: &[Mark],
    ) -> Result<(), StoreError> {
        loop {
            let stream = self.id();
            let span = span!(
                "publish changes",
                otel.kind = "producer",
                messaging.system = "yima",
                messaging.operation.name = "publish",
                messaging.operation.type = "send",
                messaging.destination.name = "changes",
                messaging.batch.message_count = changes.len(),
            );
            let traced = span_ref(&span);
            let changes = changes.iter().map(|change| Change { traced, ..change.clone() }).collect();
            match store.publish(stream, changes, marks.to_vec()).instrument(span).await? {
                Published::Open => {
                    self.published.send_replace(stream);
                    return Ok(());
                }
                Published::Sealed => self.replace(store, rules, stream).await?,
            }
        }
    }

    /// Replaces a stream that another process sealed because it took this one for dead. What was published there is not
    /// acknowledged; the caller publishes it again in the new stream.
    async fn replace(&self, store: &dyn WriterStore, rules: &RulesGuard, sealed: StreamId) -> Result<(), StoreError> {
        let opened = store.open_stream().await?;
        rules.check(store).await?;
        let replaced = {
            let mut stream = self.id.lock();
            let is_current = *stream == sealed;
            if is_current {
                *stream = opened;
            }
            is_current
        };
        // A concurrent fold may have replaced it first.
        if replaced { Ok(()) } else { store.close_stream(opened).await }
    }

    /// Seals the stream: this process publishes nothing more.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn close(&self, store: &dyn WriterStore) -> Result<(), StoreError> {
        store.close_stream(self.id()).await
    }
}
