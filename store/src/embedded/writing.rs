//! Writes: each is checked, then sent to the committer thread.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use super::committer::{Queue, closed};
use super::group_commit::{Found, Group};
use super::known_events::stored_content;
use super::reading::FEW;
use super::{EmbeddedStore, keys};
use crate::span::{call, call_span};
use crate::{Appended, CompareAndSet, Mark, Published, Result, StreamId, ViewWrite, WriterStore};

/// Bytes of a row besides its body, about.
pub(super) const ROW_BYTES: usize = 64;
/// Bytes of an event, about.
const EVENT_BYTES: usize = 400;
/// Events that the committer thread decides about in some milliseconds: as long as a write that is durable takes.
const TURN_EVENTS: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Rows that one write trims, so that no other request waits long for it.
const TRIM_ROWS: usize = 5_000;

#[async_trait]
impl WriterStore for EmbeddedStore {
    fn region(&self) -> &str {
        &self.options.region
    }

    fn epoch(&self) -> u16 {
        self.identity.epoch
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        Some(TURN_EVENTS)
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let span = call_span!("fjall", "append", "events", events.len());
        let queue = self.queue()?;
        let append = async move {
            let (events, found) = self.find(events).await?;
            queue.submit(events.len() * EVENT_BYTES, move |group| group.append(&events, &found)).await
        };
        let outcomes = call(span, append).await?;
        self.settled_are_applied(&outcomes).await;
        Ok(outcomes)
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let span = call_span!("fjall", "append", "events", events.len());
        let queue = self.queue()?;
        let append = queue.submit(events.len() * EVENT_BYTES, move |group| group.append_all(&events));
        let outcomes = call(span, append).await?;
        self.settled_are_applied(&outcomes).await;
        Ok(outcomes)
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        ViewWrite::check_all(&writes, self.identity.epoch)?;
        let bytes = writes.iter().map(|w| w.view.len() + ROW_BYTES * (1 + w.denials.len())).sum();
        let span = call_span!("fjall", "compare_and_set", "views", writes.len());
        call(span, self.queue()?.submit(bytes, move |group| group.compare_and_set(&writes))).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        self.queue()?.submit(ROW_BYTES, |group| Ok(group.open_stream())).await
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let bytes = changes.iter().map(|c| c.view.len() + ROW_BYTES).sum::<usize>() + marks.len() * ROW_BYTES;
        let span = call_span!("fjall", "append", "changes", changes.len());
        let queue = self.queue()?;
        let publish = queue.submit(bytes, move |group| Ok(group.publish(stream, &changes, &marks)));
        let Some(last) = call(span, publish).await? else { return Ok(Published::Sealed) };
        self.shared.progress.reached(stream, last).await;
        Ok(Published::Open)
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.queue()?
            .submit(ROW_BYTES, move |group| {
                group.close_stream(stream);
                Ok(())
            })
            .await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        let end = self.first_mark.to_be_bytes(); // from here on marks are this process's own
        self.blocking(move |tables| {
            let rows = tables.marks.range(..end);
            let decode = |row: Result<(fjall::Slice, fjall::Slice)>| {
                let (key, row) = row?;
                keys::decode_mark(&key, &row).ok_or_else(|| tables.marks.corrupt("a mark"))
            };
            rows.map(decode).collect()
        })
        .await
    }
}

impl EmbeddedStore {
    /// Removes the changes older than the retention at `now`, in bounded pieces, and returns their number; also dead
    /// letters, denials and parts of bundles that are no longer kept. To be called every few minutes. A sealed stream without rows disappears.
    ///
    /// # Errors
    /// As for any write. Rows removed before an error stay removed.
    pub async fn trim(&self, now: Time) -> Result<usize> {
        let until = now.minus(self.options.changes_retention);
        let trim_bundle = move |group: &mut Group<'_>| group.trim_bundle(now, TRIM_ROWS);
        while self.queue()?.submit(TRIM_ROWS * ROW_BYTES, trim_bundle).await? == TRIM_ROWS {}
        let trim_letters = move |group: &mut Group<'_>| group.trim_dead_letters(now, TRIM_ROWS);
        while self.queue()?.submit(TRIM_ROWS * ROW_BYTES, trim_letters).await? == TRIM_ROWS {}
        let mut removed = 0;
        loop {
            let piece = self.queue()?.submit(TRIM_ROWS * ROW_BYTES, move |group| group.trim(until, TRIM_ROWS)).await?;
            removed += piece;
            if piece < TRIM_ROWS {
                return Ok(removed);
            }
        }
    }

    /// What is stored of events whose subjects have many: the committer thread, which all agencies share, need not look.
    async fn find(&self, events: Vec<StoredEvent>) -> Result<(Vec<StoredEvent>, Found)> {
        let of_large: Vec<usize> = {
            let large = self.shared.large.read();
            (0..events.len()).filter(|at| large.has(events[*at].event.subject)).collect()
        };
        if of_large.is_empty() {
            return Ok((events, Found::new()));
        }
        self.in_bulk(of_large.len() > FEW, move |tables| {
            let find = |at: usize| {
                let event = &events[at];
                Ok((at, stored_content(&tables.events, &keys::event(event)?, &event.event)?))
            };
            let found = of_large.into_iter().map(find).collect::<Result<_>>()?;
            Ok((events, found))
        })
        .await
    }

    /// Waits until the follower has applied the publication of duplicates, which may have come just before.
    async fn settled_are_applied(&self, outcomes: &[Appended]) {
        if !outcomes.contains(&Appended::Settled) {
            return;
        }
        let streams = Arc::clone(&self.shared.streams.load());
        for stream in streams.values().filter(|stream| stream.state.open) {
            self.shared.progress.reached(stream.state.id, stream.state.last).await;
        }
    }

    pub(super) fn queue(&self) -> Result<Queue> {
        self.committer.lock().as_ref().map(|(queue, _)| queue.clone()).ok_or_else(closed)
    }
}
