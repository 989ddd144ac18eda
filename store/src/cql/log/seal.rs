//! Seals a stream, a local one or a dead writer's: first no writer may acknowledge on it any more, then its rows are
//! counted.
//!
//! 1. The state becomes `closing` by compare-and-set. A writer reads the state after its rows are written and before it
//!    goes on, so every row that it went on with is in the database now.
//! 2. The rows are read. Missing numbers below the highest get a void row: no writer went on with them.
//! 3. The state becomes `closed` with the last numbers.
//!
//! A process that dies in between leaves `closing` behind, and the next one goes on from there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::heartbeat::{Heartbeat, SEALED_STREAMS_STAY};
use super::log_segments::LogTable;
use crate::cql::statements::ttl;
use crate::cql::{Inner, RegionStream};
use crate::{Result, StreamId};

const TABLE: &str = "streams";

/// The last heartbeat seen of each open stream of this region's other writers, and when it was first seen by this
/// process's own clock.
#[derive(Default)]
pub(in crate::cql) struct HeartbeatWatch {
    seen: Mutex<HashMap<StreamId, (i64, Instant)>>,
}

impl HeartbeatWatch {
    /// Takes in the heartbeats of the region's `open` streams and returns those, except local ones, whose heartbeat has
    /// been the same for `dead_after`.
    fn dead(
        &self,
        open: &[(StreamId, i64)],
        is_local: impl Fn(StreamId) -> bool,
        now: Instant,
        dead_after: Duration,
    ) -> Vec<StreamId> {
        let mut seen = self.seen.lock();
        seen.retain(|id, _| open.iter().any(|(open, _)| open == id));
        let mut dead = Vec::new();
        for (id, beats) in open.iter().copied().filter(|(id, _)| !is_local(*id)) {
            let last = seen.entry(id).or_insert((beats, now));
            if last.0 != beats {
                *last = (beats, now);
            } else if now.duration_since(last.1) >= dead_after {
                dead.push(id);
            }
        }
        dead
    }
}

impl Inner {
    /// Seals a stream of this region. Sealing a sealed one changes nothing.
    pub(in crate::cql) async fn seal(&self, id: StreamId) -> Result<()> {
        let local = self.local_streams.lookup(id);
        if let Some(stream) = &local {
            // Local rows still in flight would only become void.
            stream.drained().await;
        }
        let stream = self.own_region_stream(id);
        let key = (stream.region.as_str(), id.0 as i32);
        let before = self.heartbeats(&stream.region).await?.get(&id).copied();
        let settled = local.map(|stream| stream.settled_upto());
        // Also `false` when another process has begun to seal it: then this one continues.
        if !self.compare(TABLE, &self.statements.streams.begin_closing, key).await? && self.is_sealed(id).await? {
            self.local_streams.remove(id);
            return Ok(());
        }
        let (changes, marks) = before.as_ref().map_or((0, 0), |beat| (beat.changes_written, beat.marks_written));
        let last_change = self.fill_gaps(LogTable::Changes, &stream, changes).await?;
        let last_mark = self.fill_gaps(LogTable::Marks, &stream, marks).await?;
        self.write_final_heartbeat(&stream, before, last_change, last_mark, settled).await?;
        let row = (ttl(SEALED_STREAMS_STAY), last_change as i64, last_mark as i64, key.0, key.1);
        // Also `false` when another process has sealed it, or this one by an attempt whose outcome was unknown.
        self.compare(TABLE, &self.statements.streams.finish_closing, row).await?;
        self.local_streams.remove(id);
        Ok(())
    }

    async fn is_sealed(&self, id: StreamId) -> Result<bool> {
        Ok(self.stream_rows().await?.iter().any(|stream| stream.id == id && stream.closed))
    }

    /// Makes known in every region that a stream's numbers are final.
    async fn write_final_heartbeat(
        &self,
        stream: &RegionStream,
        before: Option<Heartbeat>,
        last_change: u64,
        last_mark: u64,
        settled: Option<u64>,
    ) -> Result<()> {
        let heartbeat = Heartbeat {
            closed: true,
            beats: before.map_or(0, |beat| beat.beats) + 1,
            at: self.earlier_clock().await?,
            newest: self.newest_stream_id().await?,
            changes_written: last_change,
            marks_written: last_mark,
            marks_taken: last_mark,
            marks_settled: settled.unwrap_or(before.map_or(0, |beat| beat.marks_settled)),
            rules_version: before.map_or(0, |beat| beat.rules_version),
        };
        self.write_heartbeat(stream, heartbeat).await
    }

    /// Writes a void row under each missing number of a sequence above `from`, and returns its last number.
    async fn fill_gaps(&self, table: LogTable, stream: &RegionStream, from: u64) -> Result<u64> {
        let (last, missing) = self.find_gaps(table, stream, from).await?;
        for number in missing {
            self.write_rows(table, stream, number..number + 1, &[Vec::new()]).await?;
        }
        Ok(last)
    }

    /// Seals the streams of this region's other writers whose heartbeats stopped `dead_after` ago, by this process's
    /// own clock. Sealing a living writer's stream does no harm: it notices before it acknowledges anything more, and
    /// goes on in a new one.
    pub(in crate::cql) async fn seal_dead(&self) -> Result<usize> {
        let streams = self.stream_rows().await?;
        let heartbeats = self.heartbeats(&self.options.region).await?;
        let beats = |id: StreamId| heartbeats.get(&id).map_or(0, |heartbeat| heartbeat.beats);
        let open: Vec<_> = streams.iter().filter(|s| !s.closed).map(|s| (s.id, beats(s.id))).collect();
        let is_local = |id| self.local_streams.contains(id);
        let dead = self.heartbeat_watch.dead(&open, is_local, Instant::now(), self.options.dead_after);
        for sealed in streams.iter().filter(|s| s.closed) {
            // Its writer was paused, and sent one more heartbeat before it noticed.
            if let Some(late) = heartbeats.get(&sealed.id).filter(|heartbeat| !heartbeat.closed) {
                let stream = self.own_region_stream(sealed.id);
                let (last_change, last_mark) = (sealed.last_change, sealed.last_mark);
                self.write_final_heartbeat(&stream, Some(*late), last_change, last_mark, None).await?;
            }
        }
        for id in &dead {
            tracing::warn!(stream = id.0, "sealing the stream of a writer whose heartbeats stopped");
            self.seal(*id).await?;
        }
        Ok(dead.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD_AFTER: Duration = Duration::from_secs(10);

    #[test]
    fn a_stream_is_dead_once_its_heartbeat_has_stood_still() {
        let (watch, start) = (HeartbeatWatch::default(), Instant::now());
        let (dying, living) = (StreamId(1), StreamId(2));
        let at = |seconds: u64, beats| {
            let open = [(dying, 7), (living, beats)];
            watch.dead(&open, |_| false, start + Duration::from_secs(seconds), DEAD_AFTER)
        };
        assert_eq!(at(0, 1), []);
        assert_eq!(at(9, 2), []);
        assert_eq!(at(10, 2), [dying]);
        assert_eq!(at(18, 3), [dying]);
        assert_eq!(at(28, 3), [dying, living]);
    }

    #[test]
    fn local_streams_are_never_dead() {
        let (watch, start) = (HeartbeatWatch::default(), Instant::now());
        for seconds in [0, 60] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(watch.dead(&[(StreamId(1), 7)], |_| true, now, DEAD_AFTER), []);
        }
    }

    #[test]
    fn a_sealed_stream_is_forgotten() {
        let (watch, start) = (HeartbeatWatch::default(), Instant::now());
        let open = [(StreamId(1), 7)];
        assert_eq!(watch.dead(&open, |_| false, start, DEAD_AFTER), []);
        assert_eq!(watch.dead(&[], |_| false, start, DEAD_AFTER), []);
        assert_eq!(watch.dead(&open, |_| false, start + DEAD_AFTER, DEAD_AFTER), []);
    }
}
