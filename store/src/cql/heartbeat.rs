//! Signs of life: how far each stream has come, written once a second in plain rows, which reach the other regions too.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::try_join;
use scylla::value::CqlTimestamp;
use yima_schema::time::Time;

use super::fault::fault;
use super::local_stream::OwnStream;
use super::positions::Position;
use super::statements::ttl;
use super::{Inner, StreamOf};
use crate::{Result, StoreError, StreamId};

/// How long a closed stream's last sign of life and registry row stay.
pub(super) const CLOSED_STREAMS_STAY: Duration = Duration::from_secs(30 * 24 * 3600);

const TABLE: &str = "heartbeats";

/// A row of `heartbeats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heartbeat {
    /// The numbers are final.
    pub(super) closed: bool,
    /// Grows with each.
    pub(super) beats: i64,
    /// Every event acknowledged before has a mark up to `marks_taken` in its stream, which is one of those up to `newest`.
    pub(super) at: Time,
    /// The region's newest stream.
    pub(super) newest: u32,
    /// Every change up to this one is in the database.
    pub(super) changes_written: u64,
    /// Every mark up to this one is in the database.
    pub(super) marks_written: u64,
    /// The highest number given to a mark.
    pub(super) marks_taken: u64,
    /// Folds of marks up to this one are published.
    pub(super) marks_settled: u64,
    /// The rules that its writer folds by; 0 before it said.
    pub(super) rules_version: u32,
}

/// Beats for every open stream of this process until the store is dropped.
pub(super) async fn beat_for_ever(inner: Weak<Inner>) {
    loop {
        let Some(store) = inner.upgrade() else { return };
        let streams: Vec<_> = store.own.lock().values().cloned().collect();
        for stream in streams {
            if let Err(fault) = store.beat(&stream).await {
                tracing::warn!(%fault, "no sign of life could be given");
            }
        }
        let every = store.options.beat_every;
        drop(store);
        tokio::time::sleep(every).await;
    }
}

impl Inner {
    /// Gives a sign of life of a stream of ours. The order of the steps is what makes `at` true: clocks, then what was taken, then the
    /// newest stream.
    pub(super) async fn beat(&self, stream: &OwnStream) -> Result<()> {
        let at = self.earlier_clock().await?;
        let (marks_taken, marks_written) = stream.marks.progress();
        let (_, changes_written) = stream.changes.progress();
        let marks_settled = stream.settled.lock().upto();
        let newest = self.newest(&self.statements.streams.newest_stream).await?.unwrap_or(0).unsigned_abs();
        let beats = stream.next_beat();
        let rules_version = self.rules.load(Ordering::Acquire);
        let beat = Heartbeat {
            closed: false,
            beats,
            at,
            newest,
            changes_written,
            marks_written,
            marks_taken,
            marks_settled,
            rules_version,
        };
        self.write_heartbeat(&stream.of, beat).await
    }

    /// The earlier of our clock and the database's: one of them may be ahead.
    pub(super) async fn earlier_clock(&self) -> Result<Time> {
        let ours = (self.options.clock)();
        Ok(self.database_clock().await?.min(ours))
    }

    /// What one of the nodes takes for the present moment.
    pub(super) async fn database_clock(&self) -> Result<Time> {
        let found =
            self.session.execute_unpaged(&self.statements.streams.clock, ()).await.map_err(|e| fault("local", &e))?;
        let corrupt = || StoreError::Corrupt { table: "local", what: "a time".into() };
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
        let (now,) = rows.first_row::<(CqlTimestamp,)>().map_err(|_| corrupt())?;
        Ok(Time::from_millis(now.0))
    }

    /// Writes a sign of life.
    pub(super) async fn write_heartbeat(&self, of: &StreamOf, beat: Heartbeat) -> Result<()> {
        let row = (
            of.region.as_str(),
            of.stream.0 as i32,
            beat.closed,
            beat.beats,
            CqlTimestamp(beat.at.as_millis()),
            beat.newest as i32,
            beat.changes_written as i64,
            beat.marks_written as i64,
            beat.marks_taken as i64,
            beat.marks_settled as i64,
            beat.rules_version as i32,
            ttl(CLOSED_STREAMS_STAY),
        );
        self.session.execute_unpaged(&self.statements.streams.beat, row).await.map(drop).map_err(|e| fault(TABLE, &e))
    }

    /// The newest sign of life of each of a region's streams.
    pub(super) async fn heartbeats(&self, region: &str) -> Result<BTreeMap<StreamId, Heartbeat>> {
        type Columns = (i32, bool, i64, CqlTimestamp, i32, i64, i64, i64, i64, Option<i32>);
        let found = self.session.execute_unpaged(&self.statements.streams.heartbeats, (region,)).await;
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = found.map_err(|e| fault(TABLE, &e))?.into_rows_result().map_err(|_| corrupt())?;
        let mut beats = BTreeMap::new();
        for row in rows.rows::<Columns>().map_err(|_| corrupt())? {
            let (stream, closed, beats_given, at, newest, changes_written, marks_written, taken, settled, rules) =
                row.map_err(|_| corrupt())?;
            let beat = Heartbeat {
                closed,
                beats: beats_given,
                at: Time::from_millis(at.0),
                newest: newest as u32,
                changes_written: changes_written as u64,
                marks_written: marks_written as u64,
                marks_taken: taken as u64,
                marks_settled: settled as u64,
                rules_version: rules.unwrap_or(0).unsigned_abs(),
            };
            beats.insert(StreamId(stream as u32), beat);
        }
        Ok(beats)
    }

    /// A region's streams with how far this region has followed each.
    pub(super) async fn followed(
        &self,
        region: &str,
    ) -> Result<(BTreeMap<StreamId, Heartbeat>, BTreeMap<StreamId, Position>)> {
        try_join(self.heartbeats(region), self.positions(region)).await
    }
}
