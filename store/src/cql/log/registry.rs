//! The feed: the region's registry, with which a poll begins, and the changes of a stream.

use async_trait::async_trait;
use futures::future::try_join4;
use yima_schema::change::Change;
use yima_schema::time::Time;

use super::log_segments::LogTable;
use crate::cql::region::rebuilding;
use crate::cql::{CqlStore, Inner};
use crate::{Feed, Registry, Result, StoreError, StreamId, StreamState};

/// A row of `streams`.
pub(in crate::cql) struct StreamRow {
    pub(in crate::cql) id: StreamId,
    /// Sealed: its numbers are final. A stream that is `closing` is not closed yet.
    pub(in crate::cql) closed: bool,
    pub(super) last_change: u64,
    pub(super) last_mark: u64,
}

#[async_trait]
impl Feed for CqlStore {
    async fn registry(&self) -> Result<Registry> {
        let inner = &*self.inner;
        let region = inner.options.region.as_str();
        let (rows, heartbeats, clock, state) =
            try_join4(inner.stream_rows(), inner.heartbeats(region), inner.database_clock(), inner.region_state())
                .await?;
        if state.rebuilding && !inner.rebuilds {
            return Err(rebuilding());
        }
        let written = |id: StreamId| heartbeats.get(&id).map_or(0, |heartbeat| heartbeat.changes_written);
        let stream = |row: &StreamRow| StreamState {
            id: row.id,
            last: if row.closed { row.last_change } else { written(row.id) },
            open: !row.closed,
        };
        let streams = rows.iter().map(stream).collect();
        Ok(Registry { streams, clock: Some(clock), epoch: state.epoch, regions: inner.regions_as_of().await? })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let stream = self.inner.own_region_stream(stream);
        let rows = self.inner.read_rows(LogTable::Changes, &stream, after, limit).await?;
        let corrupt = |e: yima_schema::DecodeError| StoreError::Corrupt { table: "changes", what: e.to_string() };
        let decode = |body: Vec<u8>| (!body.is_empty()).then(|| Change::decode(&body).map_err(corrupt)).transpose();
        rows.into_iter().map(|(number, body)| Ok((number, decode(body)?))).collect()
    }

    /// Wakes on publications of this process; those of others are found by polling.
    async fn woken(&self) {
        self.inner.published.notified().await;
    }
}

impl CqlStore {
    /// The clock of one of the database's nodes, now.
    ///
    /// # Errors
    /// The database's.
    pub async fn clock(&self) -> Result<Time> {
        self.inner.database_clock().await
    }
}

impl Inner {
    /// The region's streams, as registered.
    pub(in crate::cql) async fn stream_rows(&self) -> Result<Vec<StreamRow>> {
        type Columns = (Option<i32>, Option<i32>, Option<String>, Option<i64>, Option<i64>);
        const TABLE: &str = "streams";
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.query(TABLE, &self.statements.streams.streams, (self.options.region.as_str(),)).await?;
        let mut streams = Vec::new();
        for row in rows.rows::<Columns>().map_err(|_| corrupt())? {
            // Without a stream, or with one whose columns have expired, only the static column is left.
            let (Some(id), _, Some(state), last_change, last_mark) = row.map_err(|_| corrupt())? else { continue };
            streams.push(StreamRow {
                id: StreamId(id as u32),
                closed: state == "closed",
                last_change: last_change.unwrap_or(0) as u64,
                last_mark: last_mark.unwrap_or(0) as u64,
            });
        }
        Ok(streams)
    }
}
