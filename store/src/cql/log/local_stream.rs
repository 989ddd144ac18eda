//! Streams of this process: registered by compare-and-set under the region's next number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use scylla::statement::prepared::PreparedStatement;

use super::log_segments::{LogTable, chunks};
use super::sequence::Sequence;
use crate::cql::{Inner, RegionStream};
use crate::{Result, StoreError, StreamId, Watermark};

const TABLE: &str = "streams";

/// The streams of this process that are open, as far as it knows.
#[derive(Default)]
pub(in crate::cql) struct LocalStreams {
    open: Mutex<BTreeMap<StreamId, Arc<LocalStream>>>,
    /// Held while a stream is opened, so that concurrent callers open one.
    opening: tokio::sync::Mutex<()>,
}

impl LocalStreams {
    pub(in crate::cql) fn lookup(&self, id: StreamId) -> Option<Arc<LocalStream>> {
        self.open.lock().get(&id).cloned()
    }

    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.open.lock().contains_key(&id)
    }

    pub(super) fn all(&self) -> Vec<Arc<LocalStream>> {
        self.open.lock().values().cloned().collect()
    }

    fn newest(&self) -> Option<Arc<LocalStream>> {
        self.open.lock().last_key_value().map(|(_, stream)| Arc::clone(stream))
    }

    fn insert(&self, stream: &Arc<LocalStream>) {
        self.open.lock().insert(stream.id.stream, Arc::clone(stream));
    }

    /// Forgets a stream that was found sealed, or that this process sealed.
    pub(in crate::cql) fn remove(&self, id: StreamId) {
        self.open.lock().remove(&id);
    }
}

/// A stream of this process, with its two sequences.
pub(in crate::cql) struct LocalStream {
    pub(in crate::cql) id: RegionStream,
    changes: Sequence,
    marks: Sequence,
    settled: Mutex<Watermark>,
    beats: AtomicI64,
}

impl LocalStream {
    fn new(id: RegionStream) -> Self {
        Self {
            id,
            changes: Sequence::default(),
            marks: Sequence::default(),
            settled: Mutex::default(),
            beats: AtomicI64::new(0),
        }
    }

    pub(super) fn sequence(&self, table: LogTable) -> &Sequence {
        match table {
            LogTable::Changes => &self.changes,
            LogTable::Marks => &self.marks,
        }
    }

    /// Notes that a mark's fold is published.
    pub(in crate::cql) fn settle(&self, mark: u64) {
        self.settled.lock().add(mark);
    }

    /// The folds of all marks up to this one are published.
    pub(super) fn settled_upto(&self) -> u64 {
        self.settled.lock().upto()
    }

    /// The number of the next heartbeat.
    pub(super) fn next_beat(&self) -> i64 {
        self.beats.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits until every number taken so far is written.
    pub(super) async fn drained(&self) {
        self.changes.drained().await;
        self.marks.drained().await;
    }
}

impl Inner {
    /// Registers a stream, and writes its first heartbeat.
    pub(in crate::cql) async fn open_stream(&self) -> Result<Arc<LocalStream>> {
        let id = self.register_stream().await?;
        // A stream that may not be used gets no heartbeat, and is sealed as a dead writer's.
        self.check_may_write().await?;
        let stream = Arc::new(LocalStream::new(self.own_region_stream(id)));
        self.send_heartbeat(&stream).await?;
        self.local_streams.insert(&stream);
        Ok(stream)
    }

    /// Takes the region's next number. If the outcome is unknown, the stream has no heartbeat, and another writer seals
    /// it.
    async fn register_stream(&self) -> Result<StreamId> {
        let region = self.options.region.as_str();
        let statements = &self.statements.streams;
        loop {
            let newest = self.newest_stream(&statements.newest_stream_serially).await?;
            let next = newest.unwrap_or(0) + 1;
            let registered = match newest {
                None => self.compare(TABLE, &statements.first_stream, (next, region, next)).await?,
                Some(newest) => self.compare(TABLE, &statements.next_stream, (next, region, next, newest)).await?,
            };
            if registered {
                return Ok(StreamId(next.unsigned_abs()));
            }
        }
    }

    /// The region's newest stream, by a statement that decides how it is read; `None` before the first.
    pub(super) async fn newest_stream(&self, statement: &PreparedStatement) -> Result<Option<i32>> {
        let corrupt = |_| StoreError::Corrupt { table: TABLE, what: "the newest stream".into() };
        let rows = self.query(TABLE, statement, (self.options.region.as_str(),)).await?;
        let row = rows.maybe_first_row::<(Option<i32>,)>().map_err(corrupt)?;
        Ok(row.and_then(|(newest,)| newest))
    }

    /// The newest local stream that is open as far as this process knows; a new one if there is none.
    pub(in crate::cql) async fn current_stream(&self) -> Result<Arc<LocalStream>> {
        if let Some(stream) = self.local_streams.newest() {
            return Ok(stream);
        }
        let _one_at_a_time = self.local_streams.opening.lock().await;
        match self.local_streams.newest() {
            Some(stream) => Ok(stream),
            None => self.open_stream().await,
        }
    }

    /// Whether the registry says that a stream of this region is open. If so, every row written in it before this call
    /// stays within it, however soon it is sealed.
    pub(in crate::cql) async fn is_open(&self, stream: StreamId) -> Result<bool> {
        let corrupt = |_| StoreError::Corrupt { table: TABLE, what: "a state".into() };
        let key = (self.options.region.as_str(), stream.0 as i32);
        let rows = self.query(TABLE, &self.statements.streams.stream, key).await?;
        let state = rows.maybe_first_row::<(Option<String>,)>().map_err(corrupt)?;
        Ok(state.and_then(|(state,)| state).is_some_and(|state| state == "open"))
    }

    /// Writes rows under a stream's next numbers until all are written, and returns the numbers in the order of
    /// `bodies`.
    pub(in crate::cql) async fn append_rows(
        self: &Arc<Self>,
        table: LogTable,
        stream: &Arc<LocalStream>,
        bodies: Vec<Vec<u8>>,
    ) -> Result<Vec<u64>> {
        let mut in_flight = Vec::new();
        for bodies in chunks(bodies) {
            let numbers = stream.sequence(table).take(bodies.len() as u64).await;
            let (inner, stream, range) = (Arc::clone(self), Arc::clone(stream), numbers.clone());
            // A task of its own: numbers that were taken are written even if the caller is cancelled.
            let written = tokio::spawn(async move {
                inner.write_rows_forever(table, &stream.id, range.clone(), &bodies).await;
                stream.sequence(table).written(range);
            });
            in_flight.push((numbers, written));
        }
        let mut taken = Vec::new();
        for (numbers, written) in in_flight {
            // Only the end of the runtime drops the task: then the outcome is unknown.
            written.await.map_err(|_| StoreError::TimedOut)?;
            taken.extend(numbers);
        }
        Ok(taken)
    }
}
