//! The writer's steps, in their order: mark, see the stream open, write the event; later set the view; at last write
//! the change, and see the stream open again.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;

use super::CqlStore;
use super::events::permits::rounds;
use super::log::log_segments::LogTable;
use crate::append_outcome::{Decision, none_taken};
use crate::span::{call, call_span};
use crate::{
    Appended, CompareAndSet, Mark, Published, Result, StoreError, StreamId, ViewWrite, WriterStore, failpoint,
};

#[async_trait]
impl WriterStore for CqlStore {
    fn region(&self) -> &str {
        &self.inner.options.region
    }

    fn epoch(&self) -> u16 {
        self.inner.identity.epoch
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        None // the nodes decide about different subjects side by side
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let mut outcomes = Vec::with_capacity(events.len());
        for mut events in rounds(events) {
            let permits = self.inner.subject_permits.acquire(&events).await;
            let decisions = self.inner.decide(&mut events).await?;
            outcomes.extend(self.append_decided(events, decisions, permits).await?);
        }
        Ok(outcomes)
    }

    async fn append_all(&self, mut events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let permits = self.inner.subject_permits.acquire(&events).await;
        let decisions = self.inner.decide(&mut events).await?;
        match none_taken(&decisions) {
            Some(outcomes) => Ok(outcomes),
            None => self.append_decided(events, decisions, permits).await,
        }
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        ViewWrite::check_all(&writes, self.inner.identity.epoch)?;
        call(call_span!("cassandra", "UPDATE", "views", writes.len()), self.inner.compare_and_set(&writes)).await
    }

    async fn active_rules(&self) -> Result<u32> {
        Ok(self.inner.region_state().await?.rules_version)
    }

    async fn raise_rules(&self, version: u32) -> Result<u32> {
        self.inner.raise_rules(version).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        Ok(self.inner.open_stream().await?.id.stream)
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let inner = &self.inner;
        let Some(local) = inner.local_streams.lookup(stream) else { return Ok(Published::Sealed) };
        let bodies: Vec<_> = changes.iter().map(Change::encode).collect();
        failpoint::pass("before_changes")?;
        if !failpoint::skips("before_changes") {
            let span = call_span!("cassandra", "INSERT", "changes", changes.len());
            call(span, inner.append_rows(LogTable::Changes, &local, bodies)).await?;
        }
        failpoint::pass("changes_written")?;
        if !call(call_span!("cassandra", "SELECT", "streams", 1), inner.is_open(stream)).await? {
            inner.local_streams.remove(stream);
            return Ok(Published::Sealed);
        }
        failpoint::pass("stream_seen_open")?;
        inner.published.notify_one();
        inner.heartbeat_due.notify_one();
        inner.settle(&marks).await?;
        Ok(Published::Open)
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.inner.seal(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        self.inner.unsettled().await
    }
}

impl CqlStore {
    /// `permits` are held until the events are written.
    async fn append_decided(
        &self,
        events: Vec<StoredEvent>,
        decisions: Vec<Decision>,
        permits: Vec<OwnedSemaphorePermit>,
    ) -> Result<Vec<Appended>> {
        let inner = Arc::clone(&self.inner);
        let append = async move {
            let appended = inner.append(events, decisions).await;
            drop(permits);
            appended
        };
        // A task of its own: a marked event is written even if the caller is cancelled.
        let appended = tokio::spawn(append.in_current_span());
        appended.await.map_err(|_| StoreError::TimedOut)?
    }
}
