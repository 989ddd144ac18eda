//! Streams: registered by compare-and-set, their rows, their heartbeats, and how they are sealed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;
use yima_schema::change::Change;
use yima_store::{Feed, Registry, Result, StoreError, StreamId, StreamState, Watermark};

use super::table::Table;
use super::{
    BEAT_EVERY_MS, CqlModel, DEAD_AFTER, EPOCH, Heartbeat, LocalStream, Registered, Sequence, State, StreamRow,
    retry_forever,
};
use crate::clock::wait;

/// One of the two kinds of rows of a stream; `None` is a void row.
type Rows<T> = Arc<Table<(StreamId, u64), Option<T>>>;

impl CqlModel {
    pub(super) async fn open_local(&self) -> Result<Arc<LocalStream>> {
        let registry = &self.database.registry;
        let id = loop {
            let newest = registry.get_serially(&self.process, ()).await?.map_or(0, |registered| registered.newest);
            let next = StreamId(newest + 1);
            let register = move |registered: Option<&Registered>| {
                let mut registered = registered.cloned().unwrap_or_default();
                if registered.newest != newest {
                    return None;
                }
                registered.newest = next.0;
                registered.streams.insert(next, StreamRow { state: State::Open, last_change: 0, last_mark: 0 });
                Some(registered)
            };
            if registry.compare_and_set(&self.process, (), register).await? {
                break next;
            }
        };
        let stream = Arc::new(LocalStream {
            id,
            changes: Mutex::default(),
            marks: Mutex::default(),
            settled: Mutex::new(Watermark::default()),
            beats: AtomicI64::new(0),
        });
        self.beat(&stream).await?;
        self.local.lock().insert(id, Arc::clone(&stream));
        Ok(stream)
    }

    /// The newest stream of this process that is open as far as it knows; a new one if there is none.
    pub(super) async fn current(&self) -> Result<Arc<LocalStream>> {
        let newest = || self.local.lock().last_key_value().map(|(_, stream)| Arc::clone(stream));
        if let Some(stream) = newest() {
            return Ok(stream);
        }
        let _one_at_a_time = self.opening.lock().await;
        match newest() {
            Some(stream) => Ok(stream),
            None => self.open_local().await,
        }
    }

    pub(super) async fn is_open(&self, stream: StreamId) -> Result<bool> {
        let registered = self.registered().await?;
        Ok(registered.streams.get(&stream).is_some_and(|row| row.state == State::Open))
    }

    async fn registered(&self) -> Result<Registered> {
        Ok(self.database.registry.get(&self.process, ()).await?.unwrap_or_default())
    }

    /// Writes rows under a stream's next numbers until all are written, also when the caller is cancelled.
    pub(super) async fn append_rows<T: Clone + Send + Sync + 'static>(
        &self,
        table: &Rows<T>,
        stream: &Arc<LocalStream>,
        sequence: fn(&LocalStream) -> &Mutex<Sequence>,
        bodies: Vec<T>,
    ) -> Result<Vec<u64>> {
        let first = {
            let mut sequence = sequence(stream).lock();
            sequence.taken += bodies.len() as u64;
            sequence.taken - bodies.len() as u64 + 1
        };
        let numbers: Vec<u64> = (first..).take(bodies.len()).collect();
        let (table, process, stream, taken) =
            (Arc::clone(table), Arc::clone(&self.process), Arc::clone(stream), numbers.clone());
        let written = tokio::spawn(async move {
            for (number, body) in taken.into_iter().zip(bodies) {
                retry_forever(|| table.write(&process, (stream.id, number), Some(body.clone()))).await;
                sequence(&stream).lock().written.add(number);
            }
        });
        written.await.map_err(|_| StoreError::TimedOut)?;
        Ok(numbers)
    }

    /// Sends a heartbeat of each local stream, and waits until the next are due.
    pub(super) async fn beat_all(&self) {
        let streams: Vec<_> = self.local.lock().values().cloned().collect();
        for stream in streams {
            // Without one for a while the stream is sealed.
            let _ = self.beat(&stream).await;
        }
        wait(BEAT_EVERY_MS).await;
        self.process.runs().await;
    }

    async fn beat(&self, stream: &LocalStream) -> Result<()> {
        let heartbeat = Heartbeat {
            closed: false,
            beats: stream.beats.fetch_add(1, Ordering::Relaxed) + 1,
            changes_written: stream.changes.lock().written.upto(),
            marks_written: stream.marks.lock().written.upto(),
            marks_settled: stream.settled.lock().upto(),
        };
        // The engine takes the number for the timestamp.
        self.database.heartbeats.write_at(&self.process, stream.id, heartbeat, heartbeat.beats).await
    }

    pub(super) async fn heartbeats(&self) -> Result<BTreeMap<StreamId, Heartbeat>> {
        let rows = self.database.heartbeats.read(&self.process, StreamId(0)..=StreamId(u32::MAX), usize::MAX).await?;
        Ok(rows.into_iter().collect())
    }

    /// First no writer may acknowledge on the stream any more, then its rows are counted.
    pub(super) async fn seal(&self, id: StreamId) -> Result<()> {
        let local = self.local.lock().get(&id).cloned();
        if let Some(stream) = &local {
            let is_drained = |sequence: &Mutex<Sequence>| {
                let sequence = sequence.lock();
                sequence.written.upto() >= sequence.taken
            };
            while !is_drained(&stream.changes) || !is_drained(&stream.marks) {
                wait(10).await;
            }
        }
        let before = self.heartbeats().await?.get(&id).copied();
        let settled = local.map(|stream| stream.settled.lock().upto());
        let began = self.change_state(id, State::Open, |row| row.state = State::Closing).await?;
        if !began && self.registered().await?.streams.get(&id).is_some_and(|row| row.state == State::Closed) {
            self.local.lock().remove(&id);
            return Ok(());
        }
        let (changes, marks) = before.map_or((0, 0), |beat| (beat.changes_written, beat.marks_written));
        let last_change = self.fill_gaps(&self.database.changes, id, changes).await?;
        let last_mark = self.fill_gaps(&self.database.marks, id, marks).await?;
        self.final_heartbeat(id, before, last_change, last_mark, settled).await?;
        let close = |row: &mut StreamRow| *row = StreamRow { state: State::Closed, last_change, last_mark };
        self.change_state(id, State::Closing, close).await?;
        self.local.lock().remove(&id);
        Ok(())
    }

    async fn change_state(
        &self,
        id: StreamId,
        from: State,
        change: impl FnOnce(&mut StreamRow) + Send,
    ) -> Result<bool> {
        let decide = |registered: Option<&Registered>| {
            let mut registered = registered?.clone();
            let row = registered.streams.get_mut(&id).filter(|row| row.state == from)?;
            change(row);
            Some(registered)
        };
        self.database.registry.compare_and_set(&self.process, (), decide).await
    }

    async fn fill_gaps<T: Clone + Send + 'static>(&self, table: &Rows<T>, id: StreamId, from: u64) -> Result<u64> {
        let rows = table.read(&self.process, (id, from + 1)..=(id, u64::MAX), usize::MAX).await?;
        let (mut last, mut missing) = (from, Vec::new());
        for ((_, number), _) in rows {
            missing.extend(last + 1..number);
            last = number;
        }
        for number in missing {
            table.write(&self.process, (id, number), None).await?;
        }
        Ok(last)
    }

    async fn final_heartbeat(
        &self,
        id: StreamId,
        before: Option<Heartbeat>,
        last_change: u64,
        last_mark: u64,
        settled: Option<u64>,
    ) -> Result<()> {
        let heartbeat = Heartbeat {
            closed: true,
            beats: before.map_or(0, |beat| beat.beats) + 1,
            changes_written: last_change,
            marks_written: last_mark,
            marks_settled: settled.unwrap_or(before.map_or(0, |beat| beat.marks_settled)),
        };
        self.database.heartbeats.write(&self.process, id, heartbeat).await
    }

    /// Seals the streams of other writers whose heartbeats have stopped.
    pub(super) async fn seal_dead(&self) -> Result<usize> {
        let streams = self.registered().await?.streams;
        let heartbeats = self.heartbeats().await?;
        let beats = |id: &StreamId| heartbeats.get(id).map_or(0, |beat| beat.beats);
        let (now, mut dead) = (Instant::now(), Vec::new());
        {
            let (mut seen, local) = (self.seen.lock(), self.local.lock());
            seen.retain(|id, _| streams.get(id).is_some_and(|row| row.state != State::Closed));
            for (id, row) in &streams {
                if row.state == State::Closed || local.contains_key(id) {
                    continue;
                }
                let last = seen.entry(*id).or_insert((beats(id), now));
                if last.0 != beats(id) {
                    *last = (beats(id), now);
                } else if now.duration_since(last.1) >= DEAD_AFTER {
                    dead.push(*id);
                }
            }
        }
        for (id, row) in streams.iter().filter(|(_, row)| row.state == State::Closed) {
            if let Some(late) = heartbeats.get(id).filter(|beat| !beat.closed) {
                self.final_heartbeat(*id, Some(*late), row.last_change, row.last_mark, None).await?;
            }
        }
        for id in &dead {
            self.seal(*id).await?;
        }
        Ok(dead.len())
    }
}

#[async_trait]
impl Feed for CqlModel {
    async fn registry(&self) -> Result<Registry> {
        // The three are read side by side.
        let registered = self.registered().await?;
        let heartbeats = self.heartbeats().await?;
        let clock = self.database_clock().await?;
        let written = |id: &StreamId| heartbeats.get(id).map_or(0, |beat| beat.changes_written);
        let state = |(id, row): (&StreamId, &StreamRow)| StreamState {
            id: *id,
            last: if row.state == State::Closed { row.last_change } else { written(id) },
            open: row.state != State::Closed,
        };
        let streams = registered.streams.iter().map(state).collect();
        Ok(Registry { streams, clock: Some(clock), epoch: EPOCH, regions: Vec::new() })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let range = (stream, after.saturating_add(1))..=(stream, u64::MAX);
        if after == u64::MAX {
            return Ok(Vec::new());
        }
        let rows = self.database.changes.read(&self.process, range, limit).await?;
        Ok(rows.into_iter().map(|((_, number), change)| (number, change)).collect())
    }

    async fn woken(&self) {
        self.published.notified().await;
    }
}
