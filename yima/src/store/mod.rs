//! The open store of a process: one type for reading, another for writing, so that no writer can start on a store that
//! it cannot write.

mod open;

use std::sync::Arc;

use yima_service::clock::now;
use yima_store::cql::CqlStore;
use yima_store::embedded::EmbeddedStore;
use yima_store::{
    AuditLog, BundleReader, BundleStore, DeadLetterStore, Deferred, Feed, ResourceIndex, ViewReader, WriterStore,
};

pub use open::{Opening, Plan};

/// The store of a read node: views and the feed.
#[derive(Clone)]
pub enum ReadStore {
    /// The store of this process alone.
    Embedded(Arc<EmbeddedStore>),
    /// The store of every process with the same keyspace.
    Cql(Arc<CqlStore>),
    /// The same, for a read node that started while its database was unreachable.
    Deferred(Arc<Deferred<CqlStore>>),
}

/// The store of a process with a writer.
#[derive(Clone)]
pub enum WriteStore {
    /// The store of this process alone.
    Embedded(Arc<EmbeddedStore>),
    /// The store of every process with the same keyspace.
    Cql(Arc<CqlStore>),
}

impl ReadStore {
    /// Looks up views.
    pub fn views(&self) -> Arc<dyn ViewReader> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// The feed that the read service follows.
    pub fn feed(&self) -> Arc<dyn Feed> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// The region's offline bundle.
    pub fn bundle(&self) -> Arc<dyn BundleReader> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// The audit log.
    pub fn audit_log(&self) -> Arc<dyn AuditLog> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// The CQL engine, once it was reached.
    pub fn cql(&self) -> Option<Arc<CqlStore>> {
        match self {
            Self::Cql(store) => Some(store.clone()),
            Self::Deferred(store) => store.reached(),
            Self::Embedded(_) => None,
        }
    }

    /// Distinguishes an embedded store from the one it was restored from.
    pub fn id(&self) -> Option<[u8; 16]> {
        match self {
            Self::Embedded(store) => Some(store.store_id()),
            Self::Cql(_) | Self::Deferred(_) => None,
        }
    }
}

impl WriteStore {
    /// The same store, for the read service of this process.
    pub fn reader(&self) -> ReadStore {
        match self {
            Self::Embedded(store) => ReadStore::Embedded(store.clone()),
            Self::Cql(store) => ReadStore::Cql(store.clone()),
        }
    }

    /// The store as the writer uses it.
    pub fn writer(&self) -> Arc<dyn WriterStore> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// The store as the writer keeps dead letters in it.
    pub fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// The store as the writer releases offline bundles in it.
    pub fn bundle(&self) -> Arc<dyn BundleStore> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// The store as the writer's index of FHIR resources.
    pub fn resources(&self) -> Arc<dyn ResourceIndex> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// The embedded engine; `None` for any other.
    pub fn embedded(&self) -> Option<&Arc<EmbeddedStore>> {
        match self {
            Self::Embedded(store) => Some(store),
            Self::Cql(_) => None,
        }
    }

    /// Removes expired changes. A CQL database removes them itself.
    pub async fn trim(&self) {
        if let Some(store) = self.embedded()
            && let Err(error) = store.trim(now()).await
        {
            tracing::warn!(%error, "expired changes could not be removed");
        }
    }

    /// Waits until everything is on disk.
    pub async fn close(&self) {
        if let Some(store) = self.embedded() {
            store.close().await;
        }
    }
}
