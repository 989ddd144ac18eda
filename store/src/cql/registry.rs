//! What a poll begins with: the region's streams, the database's clock, the epoch, and how far the other regions have been followed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join4;
use yima_schema::change::Change;
use yima_schema::time::Time;

use super::fault::fault;
use super::heartbeat::Heartbeat;
use super::log_segments::Table;
use super::positions::Position;
use super::region::rebuilding;
use super::{CqlStore, Inner};
use crate::{Feed, Registry, Result, StoreError, StreamId, StreamState};

/// How often the other regions are looked at, and which there are.
const REGIONS_EVERY: Duration = Duration::from_secs(1);
const REGION_NAMES_EVERY: Duration = Duration::from_secs(30);

/// The other regions, as they were last seen.
#[derive(Default)]
pub(super) struct Regions {
    /// Name and datacenter.
    names: Vec<(String, String)>,
    named_at: Option<Instant>,
    as_of: Vec<(String, Option<Time>)>,
    seen_at: Option<Instant>,
}

/// A row of `streams`.
pub(super) struct StreamRow {
    pub(super) id: StreamId,
    /// Its numbers are final. One that is being closed is not closed.
    pub(super) closed: bool,
    pub(super) last_change: u64,
    pub(super) last_mark: u64,
}

#[async_trait]
impl Feed for CqlStore {
    async fn registry(&self) -> Result<Registry> {
        let inner = &*self.inner;
        let region = inner.options.region.as_str();
        let (rows, beats, clock, of_region) =
            try_join4(inner.stream_rows(), inner.heartbeats(region), inner.database_clock(), inner.region_state())
                .await?;
        if of_region.rebuilding && !inner.rebuilds {
            return Err(rebuilding());
        }
        let written = |id: StreamId| beats.get(&id).map_or(0, |beat| beat.changes_written);
        let state = |row: &StreamRow| StreamState {
            id: row.id,
            last: if row.closed { row.last_change } else { written(row.id) },
            open: !row.closed,
        };
        let streams = rows.iter().map(state).collect();
        Ok(Registry { streams, clock: Some(clock), epoch: of_region.epoch, regions: inner.regions_as_of().await? })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let rows = self.inner.read_rows(Table::Changes, &self.inner.ours(stream), after, limit).await?;
        let corrupt = |e: yima_schema::DecodeError| StoreError::Corrupt { table: "changes", what: e.to_string() };
        let decode = |body: Vec<u8>| (!body.is_empty()).then(|| Change::decode(&body).map_err(corrupt)).transpose();
        rows.into_iter().map(|(number, body)| Ok((number, decode(body)?))).collect()
    }

    /// Wakes on publications of this process; those of others are found by polling.
    async fn woken(&self) {
        self.inner.woken.notified().await;
    }
}

impl Inner {
    /// The region's registry.
    pub(super) async fn stream_rows(&self) -> Result<Vec<StreamRow>> {
        type Columns = (Option<i32>, Option<i32>, Option<String>, Option<i64>, Option<i64>);
        const TABLE: &str = "streams";
        let asked = (self.options.region.as_str(),);
        let found = self
            .session
            .execute_unpaged(&self.statements.streams.streams, asked)
            .await
            .map_err(|e| fault(TABLE, &e))?;
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
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

    /// The other regions and their datacenters.
    pub(super) async fn other_regions(&self) -> Result<Vec<(String, String)>> {
        {
            let regions = self.regions.lock();
            if regions.named_at.is_some_and(|at| at.elapsed() < REGION_NAMES_EVERY) {
                return Ok(regions.names.clone());
            }
        }
        let corrupt = || StoreError::Corrupt { table: "regions", what: "a row".into() };
        let found = self
            .session
            .execute_unpaged(&self.statements.regions.regions, ())
            .await
            .map_err(|e| fault("regions", &e))?;
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
        let names: std::result::Result<Vec<(String, String)>, _> = rows.rows().map_err(|_| corrupt())?.collect();
        let mut names = names.map_err(|_| corrupt())?;
        names.retain(|(name, _)| *name != self.options.region);
        names.sort_unstable();
        let mut regions = self.regions.lock();
        (regions.names, regions.named_at) = (names.clone(), Some(Instant::now()));
        Ok(names)
    }

    async fn regions_as_of(&self) -> Result<Vec<(String, Option<Time>)>> {
        {
            let regions = self.regions.lock();
            if regions.seen_at.is_some_and(|at| at.elapsed() < REGIONS_EVERY) {
                return Ok(regions.as_of.clone());
            }
        }
        let mut as_of = Vec::new();
        for (name, _) in self.other_regions().await? {
            let (beats, positions) = self.followed(&name).await?;
            as_of.push((name, region_as_of(&beats, &positions)));
        }
        let mut regions = self.regions.lock();
        (regions.as_of, regions.seen_at) = (as_of.clone(), Some(Instant::now()));
        Ok(as_of)
    }
}

/// The moment before which everything acknowledged in a region is folded and published here. `None`: not known, because a stream is not
/// followed yet, or has not reached us at all.
fn region_as_of(beats: &BTreeMap<StreamId, Heartbeat>, positions: &BTreeMap<StreamId, Position>) -> Option<Time> {
    let newest = beats.values().map(|beat| beat.newest).max()?;
    let lowest = beats.keys().chain(positions.keys()).min()?.0;
    let seen = |id: u32| beats.contains_key(&StreamId(id)) || positions.contains_key(&StreamId(id));
    if !(lowest..=newest).all(seen) {
        return None;
    }
    let position = |id: &StreamId| positions.get(id).copied();
    let unfinished = beats
        .iter()
        .filter(|(id, beat)| !beat.closed || position(id).is_none_or(|at| at.missed || at.number < beat.marks_written));
    let mut earliest = None;
    for (id, _) in unfinished {
        let Position { as_of, .. } = position(id).filter(|at| at.as_of > Time::MIN)?;
        earliest = Some(earliest.map_or(as_of, |e: Time| e.min(as_of)));
    }
    // All writers are gone: nothing was acknowledged since the last of them gave a sign of life, or it would be in a newer stream.
    earliest.or_else(|| beats.values().filter(|beat| beat.newest == newest).map(|beat| beat.at).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(closed: bool, newest: u32, written: u64, at: i64) -> Heartbeat {
        let at = Time::from_secs(at);
        Heartbeat {
            closed,
            beats: 1,
            at,
            newest,
            changes_written: 0,
            marks_written: written,
            marks_taken: written,
            marks_settled: 0,
            rules_version: 0,
        }
    }

    /// (streams: id, closed, newest known, written, beat at), (positions: id, number, as of, missed) → as of.
    #[test]
    fn a_region_is_known_up_to_its_slowest_stream() {
        type Beats = &'static [(u32, bool, u32, u64, i64)];
        type Positions = &'static [(u32, u64, i64, bool)];
        let rows: [(Beats, Positions, Option<i64>); 9] = [
            (&[], &[], None),
            (&[(1, false, 1, 5, 90)], &[], None),
            (&[(1, false, 1, 5, 90)], &[(1, 5, 80, false)], Some(80)),
            (&[(1, false, 2, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 80, false), (2, 3, 70, false)], Some(70)),
            // A stream that has not reached us may hold anything.
            (&[(1, false, 2, 5, 90)], &[(1, 5, 80, false)], None),
            // Closed and followed to its end: it holds nothing back.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, false), (2, 3, 70, false)], Some(70)),
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 4, 60, false), (2, 3, 70, false)], Some(60)),
            (&[(1, true, 2, 5, 90), (2, true, 2, 5, 95)], &[(1, 5, 60, false), (2, 5, 70, false)], Some(95)),
            // Unless marks of it were lost.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, true), (2, 3, 70, false)], Some(60)),
        ];
        for (beats, positions, expected) in rows {
            let of_beats = beats
                .iter()
                .map(|(id, closed, newest, written, at)| (StreamId(*id), beat(*closed, *newest, *written, *at)));
            let of_positions = positions.iter().map(|(id, number, at, missed)| {
                (StreamId(*id), Position { number: *number, as_of: Time::from_secs(*at), missed: *missed })
            });
            let found = region_as_of(&of_beats.collect(), &of_positions.collect());
            assert_eq!(found, expected.map(Time::from_secs), "{beats:?} {positions:?}");
        }
    }
}
