//! The embedded store, except that the events of one subject cannot be read.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_store::embedded::EmbeddedStore;
use yima_store::{
    Appended, CompareAndSet, EventReader, Mark, Published, Result, StoreError, StreamId, VersionedView, ViewReader,
    ViewWrite, WriterStore,
};

/// An embedded store in which reading the events of `subject` fails.
pub(crate) struct Damaged {
    pub store: Arc<EmbeddedStore>,
    pub subject: SubjectId,
}

#[async_trait]
impl EventReader for Damaged {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        if subjects.contains(&self.subject) {
            return Err(StoreError::Corrupt { table: "events", what: "by a test".into() });
        }
        self.store.events(subjects).await
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        self.store.are_stored(events).await
    }
}

#[async_trait]
impl ViewReader for Damaged {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.store.lookup(subject).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        self.store.lookup_many(subjects).await
    }
}

#[async_trait]
impl WriterStore for Damaged {
    fn region(&self) -> &str {
        self.store.region()
    }

    fn epoch(&self) -> u16 {
        self.store.epoch()
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        self.store.turn_events()
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.store.append(events).await
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.store.append_all(events).await
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        self.store.compare_and_set(writes).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        self.store.open_stream().await
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        self.store.publish(stream, changes, marks).await
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.store.close_stream(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        self.store.unsettled().await
    }
}
