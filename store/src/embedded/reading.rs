//! Reads. They see only durable rows, and wait for no write.

use std::sync::Arc;

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;

use super::known_events::{StoredContent, stored_content};
use super::tables::Tables;
use super::{EmbeddedStore, keys};
use crate::span::{call, call_span};
use crate::{EventReader, Feed, Registry, Result, StoreError, StreamId, VersionedView, ViewReader, bulk};

/// Reads of so many rows are no work in bulk. As many views are looked up on the caller's own thread: a lookup among 13
/// million subjects took 10 µs (median; 62 µs at the 99th percentile) on two cores, about as long as handing work to
/// another thread.
pub(super) const FEW: usize = 16;

#[async_trait]
impl ViewReader for EmbeddedStore {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        call(call_span!("fjall", "lookup", "views", 1), async { lookup(&self.shared.tables, subject) }).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        call(call_span!("fjall", "lookup", "views", subjects.len()), async {
            if subjects.len() <= FEW {
                return subjects.iter().map(|s| lookup(&self.shared.tables, *s)).collect();
            }
            let subjects = subjects.to_vec();
            self.in_bulk(true, move |tables| subjects.into_iter().map(|s| lookup(tables, s)).collect()).await
        })
        .await
    }
}

#[async_trait]
impl EventReader for EmbeddedStore {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let is_bulk = subjects.len() > FEW || {
            let large = self.shared.large.read();
            subjects.iter().any(|subject| large.has(*subject))
        };
        let subjects = subjects.to_vec();
        let span = call_span!("fjall", "read", "events", subjects.len());
        call(span, self.in_bulk(is_bulk, move |tables| subjects.into_iter().map(|s| events(tables, s)).collect())).await
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        let events: Vec<StoredEvent> = events.iter().map(|event| (*event).clone()).collect();
        let span = call_span!("fjall", "lookup", "events", events.len());
        call(
            span,
            self.in_bulk(events.len() > FEW, move |tables| events.iter().map(|e| is_stored(tables, e)).collect()),
        )
        .await
    }
}

#[async_trait]
impl Feed for EmbeddedStore {
    async fn registry(&self) -> Result<Registry> {
        let streams = self.shared.streams.load().values().map(|s| s.state).collect();
        // One process, one machine: the store has no clock of its own.
        Ok(Registry { streams, clock: None, epoch: self.identity.epoch, regions: Vec::new() })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let (first, last) = self.shared.streams.load().get(&stream).map_or((1, 0), |s| (s.first, s.state.last));
        let from = first.max(after.saturating_add(1));
        if from > last || limit == 0 {
            return Ok(Vec::new()); // most polls find nothing new
        }
        self.blocking(move |tables| changes(tables, stream, from, last, limit)).await
    }

    fn applied(&self, through: &[(StreamId, u64)]) {
        self.shared.progress.set(through);
    }

    /// Wakes every waiting caller, and keeps one wake-up for a caller that does not wait yet: a single follower misses
    /// none.
    async fn woken(&self) {
        self.shared.published.notified().await;
    }
}

impl EmbeddedStore {
    /// Reads on a thread that may block on the disk.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.in_bulk(false, work).await
    }

    /// The same; if `is_bulk`, on a thread that gives way to others.
    pub(super) async fn in_bulk<T: Send + 'static>(
        &self,
        is_bulk: bool,
        work: impl FnOnce(&Tables) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = bulk::spawn_blocking(is_bulk, move || work(&shared.tables)).await;
        done.map_err(|_| StoreError::Unavailable("a read was interrupted".into()))?
    }
}

fn lookup(tables: &Tables, subject: SubjectId) -> Result<Option<VersionedView>> {
    let row = tables.views.get(subject.as_bytes())?;
    row.map(|row| keys::decode_view(&row).ok_or_else(|| tables.views.corrupt("a version"))).transpose()
}

fn events(tables: &Tables, subject: SubjectId) -> Result<Vec<StoredEvent>> {
    let rows = tables.events.prefix(subject.as_bytes());
    rows.map(|row| StoredEvent::decode(&row?.1).map_err(|e| tables.events.corrupt(e))).collect()
}

fn is_stored(tables: &Tables, event: &StoredEvent) -> Result<bool> {
    let key = keys::event(event)?;
    Ok(stored_content(&tables.events, &key, &event.event)? == StoredContent::Same)
}

fn changes(
    tables: &Tables,
    stream: StreamId,
    from: u64,
    last: u64,
    limit: usize,
) -> Result<Vec<(u64, Option<Change>)>> {
    let rows = tables.changes.range(keys::change(stream, from)..=keys::change(stream, last));
    let decode = |row: Result<(fjall::Slice, fjall::Slice)>| {
        let (key, row) = row?;
        let number = keys::change_number(&key).ok_or_else(|| tables.changes.corrupt("a key"))?;
        let (_, change) = keys::split_change(&row).ok_or_else(|| tables.changes.corrupt("a time"))?;
        Ok((number, Some(Change::decode(change).map_err(|e| tables.changes.corrupt(e))?)))
    };
    rows.take(limit).map(decode).collect()
}
