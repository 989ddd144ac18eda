//! A store that is reached after the read node started.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::audit::AuditRecord;
use yima_schema::change::Change;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use crate::{
    AuditLog, BundleReader, Feed, Registry, Result, StoreError, StoredIndex, StreamId, VersionedView, ViewReader,
};

/// A store for reading that is unavailable until it is [set](Self::set): until then a read node serves from its disk
/// tier.
#[derive(Debug)]
pub struct Deferred<S>(OnceLock<Arc<S>>);

impl<S> Default for Deferred<S> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<S> Deferred<S> {
    /// Takes the store once it is reached. Only the first one counts.
    pub fn set(&self, store: Arc<S>) {
        let _ = self.0.set(store);
    }

    /// The store, once it is reached.
    pub fn reached(&self) -> Option<Arc<S>> {
        self.0.get().cloned()
    }

    fn get(&self) -> Result<&S> {
        self.0.get().map(Arc::as_ref).ok_or_else(|| StoreError::Unavailable("not reached since the start".into()))
    }
}

#[async_trait]
impl<S: ViewReader> ViewReader for Deferred<S> {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.get()?.lookup(subject).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        self.get()?.lookup_many(subjects).await
    }
}

#[async_trait]
impl<S: Feed> Feed for Deferred<S> {
    async fn registry(&self) -> Result<Registry> {
        self.get()?.registry().await
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        self.get()?.changes(stream, after, limit).await
    }

    async fn woken(&self) {
        match self.0.get() {
            Some(store) => store.woken().await,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl<S: AuditLog> AuditLog for Deferred<S> {
    async fn audit(&self, record: &AuditRecord) -> Result<()> {
        self.get()?.audit(record).await
    }

    async fn audited(&self, since: Time, limit: usize) -> Result<Vec<String>> {
        self.get()?.audited(since, limit).await
    }
}

#[async_trait]
impl<S: BundleReader> BundleReader for Deferred<S> {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        self.get()?.bundle_index().await
    }

    async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>> {
        self.get()?.bundle_part(sha256).await
    }
}
