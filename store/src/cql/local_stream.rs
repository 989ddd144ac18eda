//! Streams of this process: registered by compare-and-set under the region's next number.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use scylla::statement::prepared::PreparedStatement;

use super::fault::fault;
use super::log_segments::{Table, chunks};
use super::sequence::Sequence;
use super::{Inner, StreamOf, was_applied};
use crate::{Mark, Result, StoreError, StreamId, Watermark};

/// See the module.
pub(super) struct OwnStream {
    pub(super) of: StreamOf,
    pub(super) changes: Sequence,
    pub(super) marks: Sequence,
    /// Marks whose folds are published.
    pub(super) settled: Mutex<Watermark>,
    beats: AtomicI64,
}

impl OwnStream {
    /// The number of the next sign of life.
    pub(super) fn next_beat(&self) -> i64 {
        self.beats.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn sequence(&self, table: Table) -> &Sequence {
        match table {
            Table::Changes => &self.changes,
            Table::Marks => &self.marks,
        }
    }
}

impl Inner {
    /// Registers a stream, and gives its first sign of life.
    pub(super) async fn open_stream(&self) -> Result<Arc<OwnStream>> {
        let id = self.register().await?;
        // One that may not be used gives no sign of life, and is closed as a dead writer's.
        self.may_write().await?;
        let stream = Arc::new(OwnStream {
            of: self.ours(id),
            changes: Sequence::default(),
            marks: Sequence::default(),
            settled: Mutex::default(),
            beats: AtomicI64::new(0),
        });
        self.beat(&stream).await?;
        self.own.lock().insert(id, Arc::clone(&stream));
        Ok(stream)
    }

    /// Takes the region's next number. One whose outcome is not known is left to whoever finds it without a sign of life.
    async fn register(&self) -> Result<StreamId> {
        let region = self.options.region.as_str();
        let table = "streams";
        loop {
            let newest = self.newest(&self.statements.streams.newest_stream_serially).await?;
            let next = newest.unwrap_or(0) + 1;
            let set = match newest {
                None => self.session.execute_unpaged(&self.statements.streams.first_stream, (next, region, next)).await,
                Some(newest) => {
                    self.session
                        .execute_unpaged(&self.statements.streams.next_stream, (next, region, next, newest))
                        .await
                }
            };
            if was_applied(table, set.map_err(|e| fault(table, &e))?)? {
                return Ok(StreamId(next.unsigned_abs()));
            }
        }
    }

    /// The region's newest stream, by a statement that decides how it is read; `None` before the first.
    pub(super) async fn newest(&self, statement: &PreparedStatement) -> Result<Option<i32>> {
        let corrupt = || StoreError::Corrupt { table: "streams", what: "the newest stream".into() };
        let found = self.session.execute_unpaged(statement, (self.options.region.as_str(),)).await;
        let rows = found.map_err(|e| fault("streams", &e))?.into_rows_result().map_err(|_| corrupt())?;
        let row = rows.maybe_first_row::<(Option<i32>,)>().map_err(|_| corrupt())?;
        Ok(row.and_then(|(newest,)| newest))
    }

    /// A stream of this process that is open as far as it knows; the newest, or a new one.
    pub(super) async fn current(&self) -> Result<Arc<OwnStream>> {
        let newest = || self.own.lock().last_key_value().map(|(_, stream)| Arc::clone(stream));
        if let Some(stream) = newest() {
            return Ok(stream);
        }
        let _one_at_a_time = self.opening.lock().await;
        match newest() {
            Some(stream) => Ok(stream),
            None => self.open_stream().await,
        }
    }

    /// Whether the registry says that a stream of ours is open. Whatever was written in it before this was asked is then within it, however
    /// soon it is closed.
    pub(super) async fn is_open(&self, stream: StreamId) -> Result<bool> {
        let asked = (self.options.region.as_str(), stream.0 as i32);
        let found = self
            .session
            .execute_unpaged(&self.statements.streams.stream, asked)
            .await
            .map_err(|e| fault("streams", &e))?;
        let corrupt = || StoreError::Corrupt { table: "streams", what: "a state".into() };
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
        let state = rows.maybe_first_row::<(Option<String>,)>().map_err(|_| corrupt())?;
        Ok(state.and_then(|(state,)| state).is_some_and(|state| state == "open"))
    }

    /// Writes rows under a stream's next numbers, until all are written, and tells the numbers in the order of the bodies.
    pub(super) async fn extend(
        self: &Arc<Self>,
        table: Table,
        stream: &Arc<OwnStream>,
        bodies: Vec<Vec<u8>>,
    ) -> Result<Vec<u64>> {
        let mut under_way = Vec::new();
        for bodies in chunks(bodies) {
            let numbers = stream.sequence(table).take(bodies.len() as u64).await;
            let (inner, stream, range) = (Arc::clone(self), Arc::clone(stream), numbers.clone());
            // A task of its own: whoever waits can go away, and numbers that were taken are written all the same.
            let written = tokio::spawn(async move {
                inner.write_rows_forever(table, &stream.of, range.clone(), &bodies).await;
                stream.sequence(table).written(range);
            });
            under_way.push((numbers, written));
        }
        let mut taken = Vec::new();
        for (numbers, written) in under_way {
            // Only the end of the runtime drops it: then nobody knows.
            written.await.map_err(|_| StoreError::TimedOut)?;
            taken.extend(numbers);
        }
        Ok(taken)
    }

    /// Notes that the folds of these marks are published: those of this process by its next sign of life, those that another one left
    /// when the last of them is.
    pub(super) async fn settled(&self, marks: &[Mark]) -> Result<()> {
        let mut finished = Vec::new();
        for mark in marks {
            if let Some(stream) = self.own.lock().get(&mark.stream) {
                stream.settled.lock().add(mark.number);
                continue;
            }
            let mut left = self.left.lock();
            let Some(of_stream) = left.get_mut(&mark.stream) else { continue };
            of_stream.numbers.remove(&mark.number);
            if of_stream.numbers.is_empty() {
                finished.push((mark.stream, of_stream.last));
                left.remove(&mark.stream);
            }
        }
        for (stream, last) in finished {
            self.save_position(&self.ours(stream), last, (self.options.clock)()).await?;
        }
        Ok(())
    }
}
