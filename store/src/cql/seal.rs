//! Closing a stream, of ours or of a writer that is gone: first nobody may acknowledge on it any more, then its rows are counted.
//!
//! 1. The state becomes `closing` by compare-and-set. A writer reads the state after its rows are written and before it goes on, so whatever
//!    it has gone on with is in the database now.
//! 2. The rows are read. Numbers below the highest that are missing get a void row: nobody has gone on with them.
//! 3. The state becomes `closed` with the last numbers.
//!
//! Whoever dies on the way leaves `closing` behind, and the next one goes on there.

use std::time::Instant;

use super::fault::fault;
use super::heartbeat::{CLOSED_STREAMS_STAY, Heartbeat};
use super::log_segments::Table;
use super::statements::ttl;
use super::{Inner, StreamOf, was_applied};
use crate::{Result, StreamId};

const TABLE: &str = "streams";

impl Inner {
    /// Closes a stream of this region. Closing a closed one changes nothing.
    pub(super) async fn close(&self, id: StreamId) -> Result<()> {
        let own = self.own.lock().get(&id).cloned();
        if let Some(stream) = &own {
            // Rows of ours that are on the way would only become void.
            stream.changes.drained().await;
            stream.marks.drained().await;
        }
        let of = self.ours(id);
        let before = self.heartbeats(&of.region).await?.get(&id).copied();
        let settled = own.as_ref().map(|stream| stream.settled.lock().upto());
        if !self.cas_state(&self.statements.streams.begin_closing, (of.region.as_str(), id.0 as i32)).await?
            && self.stream_rows().await?.iter().any(|stream| stream.id == id && stream.closed)
        {
            self.own.lock().remove(&id);
            return Ok(());
        }
        let from = |written: fn(&Heartbeat) -> u64| before.as_ref().map_or(0, written);
        let last_change = self.fill(Table::Changes, &of, from(|beat| beat.changes_written)).await?;
        let last_mark = self.fill(Table::Marks, &of, from(|beat| beat.marks_written)).await?;
        self.last_beat(&of, before, last_change, last_mark, settled).await?;
        let closing = (ttl(CLOSED_STREAMS_STAY), last_change as i64, last_mark as i64, of.region.as_str(), id.0 as i32);
        self.cas_state(&self.statements.streams.finish_closing, closing).await?;
        self.own.lock().remove(&id);
        Ok(())
    }

    /// Tells everybody that a stream's numbers are final.
    async fn last_beat(
        &self,
        of: &StreamOf,
        before: Option<Heartbeat>,
        last_change: u64,
        last_mark: u64,
        settled: Option<u64>,
    ) -> Result<()> {
        let beat = Heartbeat {
            closed: true,
            beats: before.map_or(0, |beat| beat.beats) + 1,
            at: self.earlier_clock().await?,
            newest: self.newest(&self.statements.streams.newest_stream).await?.unwrap_or(0).unsigned_abs(),
            changes_written: last_change,
            marks_written: last_mark,
            marks_taken: last_mark,
            marks_settled: settled.unwrap_or(before.map_or(0, |beat| beat.marks_settled)),
            rules_version: before.map_or(0, |beat| beat.rules_version),
        };
        self.write_heartbeat(of, beat).await
    }

    /// A state's change; whether it was made now. Made again after an unknown outcome it comes to the same.
    async fn cas_state(
        &self,
        statement: &scylla::statement::prepared::PreparedStatement,
        values: impl scylla::serialize::row::SerializeRow,
    ) -> Result<bool> {
        let set = self.session.execute_unpaged(statement, values).await.map_err(|e| fault(TABLE, &e))?;
        was_applied(TABLE, set)
    }

    /// Fills the gaps of a sequence and tells its last number.
    async fn fill(&self, table: Table, of: &StreamOf, from: u64) -> Result<u64> {
        let (last, missing) = self.survey(table, of, from).await?;
        for number in missing {
            self.write_rows(table, of, number..number + 1, &[Vec::new()]).await?;
        }
        Ok(last)
    }

    /// Closes streams of this region that are not ours and have given no sign of life for `dead_after`, by our own watch. Closing one that
    /// lives is no harm: its writer notices before it acknowledges anything more, and goes on in a new one.
    pub(super) async fn close_dead(&self) -> Result<usize> {
        let states = self.stream_rows().await?;
        let beats = self.heartbeats(&self.options.region).await?;
        let now = Instant::now();
        let mut dead = Vec::new();
        {
            let own = self.own.lock();
            let mut signs = self.signs.lock();
            signs.retain(|id, _| states.iter().any(|s| s.id == *id && !s.closed));
            for stream in states.iter().filter(|s| !s.closed && !own.contains_key(&s.id)) {
                let beat = beats.get(&stream.id).map_or(0, |beat| beat.beats);
                let seen = signs.entry(stream.id).or_insert((beat, now));
                if seen.0 != beat {
                    *seen = (beat, now);
                } else if now.duration_since(seen.1) >= self.options.dead_after {
                    dead.push(stream.id);
                }
            }
        }
        for stream in states.iter().filter(|s| s.closed) {
            // Its writer was paused, and beat once more before it noticed.
            if let Some(beat) = beats.get(&stream.id).filter(|beat| !beat.closed) {
                self.last_beat(&self.ours(stream.id), Some(*beat), stream.last_change, stream.last_mark, None).await?;
            }
        }
        for id in &dead {
            tracing::warn!(stream = id.0, "closing the stream of a writer that gave no sign of life");
            self.close(*id).await?;
        }
        Ok(dead.len())
    }
}
