//! Heartbeats: each stream's progress, written once a second, and soon after publications, in plain rows, which reach
//! the other regions too.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::try_join;
use scylla::value::CqlTimestamp;
use tokio::sync::Notify;
use yima_schema::time::Time;

use super::local_stream::LocalStream;
use super::log_segments::LogTable;
use crate::cql::marks::positions::Position;
use crate::cql::session::routed;
use crate::cql::statements::ttl;
use crate::cql::{Inner, RegionStream};
use crate::{Result, StoreError, StreamId};

/// How long a sealed stream's last heartbeat and registry row stay.
pub(super) const SEALED_STREAMS_STAY: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest time from a publication to the next heartbeat, and the shortest between two. It is the first step of the
/// way on which another region learns that it has everything up to a moment.
const AFTER_PUBLICATION: Duration = Duration::from_millis(200);

const TABLE: &str = "heartbeats";

/// A row of `heartbeats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cql) struct Heartbeat {
    /// The stream is sealed: its numbers are final.
    pub(in crate::cql) closed: bool,
    /// Grows with each heartbeat.
    pub(in crate::cql) beats: i64,
    /// Every event acknowledged before this moment has a mark up to `marks_taken` in its stream, and its stream is one
    /// of those up to `newest`.
    pub(in crate::cql) at: Time,
    /// The region's newest stream.
    pub(in crate::cql) newest: u32,
    /// Every change up to this one is in the database.
    pub(in crate::cql) changes_written: u64,
    /// Every mark up to this one is in the database.
    pub(in crate::cql) marks_written: u64,
    /// The highest number given to a mark.
    pub(in crate::cql) marks_taken: u64,
    /// Folds of marks up to this one are published.
    pub(in crate::cql) marks_settled: u64,
    /// The rules that the stream's writer folds by; 0 before it announced them.
    pub(in crate::cql) rules_version: u32,
}

/// Sends a heartbeat of every open local stream until the store is dropped. `published` is notified of publications.
pub(in crate::cql) async fn send_heartbeats(inner: Weak<Inner>, published: Arc<Notify>) {
    loop {
        let Some(store) = inner.upgrade() else { return };
        if store.fence.check().is_err() {
            return; // for good
        }
        for stream in store.local_streams.all() {
            if let Err(error) = store.send_heartbeat(&stream).await {
                tracing::warn!(
                    %error,
                    stream = stream.id.stream.0,
                    "heartbeat not written; without one for dead_after_ms the stream is sealed"
                );
            }
        }
        let every = store.options.beat_every;
        drop(store);
        let hastened = async {
            published.notified().await;
            tokio::time::sleep(AFTER_PUBLICATION).await;
        };
        // The next heartbeat is due, whichever comes first.
        let _ = tokio::time::timeout(every, hastened).await;
    }
}

impl Inner {
    /// Sends a heartbeat of a local stream. The order of the reads makes `at` true: the clocks, then the numbers taken,
    /// then the newest stream.
    pub(super) async fn send_heartbeat(&self, stream: &LocalStream) -> Result<()> {
        let at = self.earlier_clock().await?;
        let (marks_taken, marks_written) = stream.sequence(LogTable::Marks).progress();
        let (_, changes_written) = stream.sequence(LogTable::Changes).progress();
        let marks_settled = stream.settled_upto();
        let newest = self.newest_stream_id().await?;
        let heartbeat = Heartbeat {
            closed: false,
            beats: stream.next_beat(),
            at,
            newest,
            changes_written,
            marks_written,
            marks_taken,
            marks_settled,
            rules_version: self.rules.version(),
        };
        self.write_heartbeat(&stream.id, heartbeat).await
    }

    /// The region's newest stream; 0 before the first.
    pub(super) async fn newest_stream_id(&self) -> Result<u32> {
        Ok(self.newest_stream(&self.statements.streams.newest_stream).await?.unwrap_or(0).unsigned_abs())
    }

    /// The earlier of this process's clock and the database's: one of them may be ahead.
    pub(super) async fn earlier_clock(&self) -> Result<Time> {
        let local = (self.options.clock)();
        Ok(self.database_clock().await?.min(local))
    }

    /// The clock of one of the nodes.
    pub(super) async fn database_clock(&self) -> Result<Time> {
        let corrupt = |_| StoreError::Corrupt { table: "local", what: "a time".into() };
        let rows = self.query("local", &self.statements.streams.clock, ()).await?;
        let (now,) = rows.first_row::<(CqlTimestamp,)>().map_err(corrupt)?;
        Ok(Time::from_millis(now.0))
    }

    /// Writes a heartbeat. One of an open stream never hides a later one, nor the last, whatever clocks the nodes have.
    pub(super) async fn write_heartbeat(&self, stream: &RegionStream, heartbeat: Heartbeat) -> Result<()> {
        let row = (
            stream.region.as_str(),
            stream.stream.0 as i32,
            heartbeat.closed,
            heartbeat.beats,
            CqlTimestamp(heartbeat.at.as_millis()),
            heartbeat.newest as i32,
            heartbeat.changes_written as i64,
            heartbeat.marks_written as i64,
            heartbeat.marks_taken as i64,
            heartbeat.marks_settled as i64,
            heartbeat.rules_version as i32,
            ttl(SEALED_STREAMS_STAY),
        );
        let streams = &self.statements.streams;
        if heartbeat.closed {
            return self.execute(TABLE, &streams.last_beat, row).await.map(drop);
        }
        let (region, stream, closed, beats, at, newest, changes, marks, taken, settled, rules, ttl) = row;
        let row = (region, stream, closed, beats, at, newest, changes, marks, taken, settled, rules, ttl, beats);
        self.execute(TABLE, &streams.beat, row).await.map(drop)
    }

    /// The newest heartbeat of each of a region's streams.
    pub(in crate::cql) async fn heartbeats(&self, region: &str) -> Result<BTreeMap<StreamId, Heartbeat>> {
        self.heartbeats_at(None, region).await
    }

    /// Writes here the heartbeats of streams that this datacenter never heard of: those that another region opened and
    /// sealed while there were no replicas here. No hint and no later heartbeat brings them.
    pub(in crate::cql) async fn copy_unknown_heartbeats(&self, region: &str, datacenter: &str) -> Result<()> {
        let known = self.heartbeats(region).await?;
        for (stream, heartbeat) in self.heartbeats_at(Some(datacenter), region).await? {
            if !known.contains_key(&stream) {
                self.write_heartbeat(&RegionStream { region: region.to_owned(), stream }, heartbeat).await?;
            }
        }
        Ok(())
    }

    async fn heartbeats_at(&self, datacenter: Option<&str>, region: &str) -> Result<BTreeMap<StreamId, Heartbeat>> {
        type Columns = (i32, bool, i64, CqlTimestamp, i32, i64, i64, i64, i64, Option<i32>);
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let statement = routed(&self.statements.streams.heartbeats, datacenter);
        let rows = self.query(TABLE, &statement, (region,)).await?;
        let mut heartbeats = BTreeMap::new();
        for row in rows.rows::<Columns>().map_err(|_| corrupt())? {
            let (stream, closed, beats, at, newest, changes_written, marks_written, taken, settled, rules) =
                row.map_err(|_| corrupt())?;
            let heartbeat = Heartbeat {
                closed,
                beats,
                at: Time::from_millis(at.0),
                newest: newest as u32,
                changes_written: changes_written as u64,
                marks_written: marks_written as u64,
                marks_taken: taken as u64,
                marks_settled: settled as u64,
                rules_version: rules.unwrap_or(0).unsigned_abs(),
            };
            heartbeats.insert(StreamId(stream as u32), heartbeat);
        }
        Ok(heartbeats)
    }

    /// A region's streams, with this region's positions in them.
    pub(in crate::cql) async fn heartbeats_and_positions(
        &self,
        region: &str,
    ) -> Result<(BTreeMap<StreamId, Heartbeat>, BTreeMap<StreamId, Position>)> {
        try_join(self.heartbeats(region), self.positions(region)).await
    }
}
