//! The other regions, and how much of each this region has folded and published.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use yima_schema::time::Time;

use super::heartbeat::Heartbeat;
use crate::cql::Inner;
use crate::cql::marks::positions::Position;
use crate::{Result, StoreError, StreamId};

/// How long the other regions' progress is used before it is read again, and how long their names. The first bounds the
/// reads of a follower that this process' publications wake.
const PROGRESS_LASTS: Duration = Duration::from_millis(100);
const NAMES_LAST: Duration = Duration::from_secs(30);

/// The other regions as they were last read.
#[derive(Default)]
pub(in crate::cql) struct OtherRegions {
    names: Mutex<Cached<(String, String)>>,
    as_of: Mutex<Cached<(String, Option<Time>)>>,
}

/// Rows with the moment at which they were read; `None` before the first time.
struct Cached<T>(Option<(Instant, Vec<T>)>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Cached<T> {
    fn younger_than(&self, lasts: Duration) -> Option<Vec<T>> {
        self.0.as_ref().filter(|(at, _)| at.elapsed() < lasts).map(|(_, rows)| rows.clone())
    }

    fn set(&mut self, rows: &[T]) {
        self.0 = Some((Instant::now(), rows.to_vec()));
    }
}

impl Inner {
    /// The other regions and their datacenters.
    pub(in crate::cql) async fn other_regions(&self) -> Result<Vec<(String, String)>> {
        const TABLE: &str = "regions";
        if let Some(names) = self.other_regions.names.lock().younger_than(NAMES_LAST) {
            return Ok(names);
        }
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.query(TABLE, &self.statements.regions.regions, ()).await?;
        let names: std::result::Result<Vec<(String, String)>, _> = rows.rows().map_err(|_| corrupt())?.collect();
        let mut names = names.map_err(|_| corrupt())?;
        names.retain(|(name, _)| *name != self.options.region);
        names.sort_unstable();
        self.other_regions.names.lock().set(&names);
        Ok(names)
    }

    /// Another region's datacenter; `None` for this one's.
    pub(in crate::cql) async fn datacenter_of(&self, region: &str) -> Result<Option<String>> {
        Ok(self.other_regions().await?.into_iter().find(|(name, _)| name == region).map(|(_, datacenter)| datacenter))
    }

    /// See [`crate::Registry::regions`].
    pub(super) async fn regions_as_of(&self) -> Result<Vec<(String, Option<Time>)>> {
        if let Some(as_of) = self.other_regions.as_of.lock().younger_than(PROGRESS_LASTS) {
            return Ok(as_of);
        }
        let mut as_of = Vec::new();
        for (name, _) in self.other_regions().await? {
            let (heartbeats, positions) = self.heartbeats_and_positions(&name).await?;
            as_of.push((name, region_as_of(&heartbeats, &positions)));
        }
        self.other_regions.as_of.lock().set(&as_of);
        Ok(as_of)
    }
}

/// The moment before which everything acknowledged in a region is folded and published here. `None`: unknown, because a
/// stream is not followed yet, or its heartbeat has not reached this region.
fn region_as_of(heartbeats: &BTreeMap<StreamId, Heartbeat>, positions: &BTreeMap<StreamId, Position>) -> Option<Time> {
    let newest = heartbeats.values().map(|heartbeat| heartbeat.newest).max()?;
    let lowest = heartbeats.keys().chain(positions.keys()).min()?.0;
    let is_known = |id: u32| heartbeats.contains_key(&StreamId(id)) || positions.contains_key(&StreamId(id));
    if !(lowest..=newest).all(is_known) {
        return None;
    }
    let position = |id: &StreamId| positions.get(id).copied();
    let unfinished = heartbeats.iter().filter(|(id, heartbeat)| {
        !heartbeat.closed || position(id).is_none_or(|at| at.missed || at.number < heartbeat.marks_written)
    });
    let mut earliest = None;
    for (id, _) in unfinished {
        let Position { as_of, .. } = position(id).filter(|at| at.as_of > Time::MIN)?;
        earliest = Some(earliest.map_or(as_of, |e: Time| e.min(as_of)));
    }
    // All writers are gone: nothing was acknowledged after the last heartbeat, or it would be in a newer stream.
    earliest.or_else(|| heartbeats.values().filter(|beat| beat.newest == newest).map(|beat| beat.at).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(closed: bool, newest: u32, written: u64, at: i64) -> Heartbeat {
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

    /// (heartbeats: id, closed, newest, marks written, at), (positions: id, number, as of, missed) → as of.
    #[test]
    fn a_region_is_folded_up_to_its_slowest_stream() {
        type Heartbeats = &'static [(u32, bool, u32, u64, i64)];
        type Positions = &'static [(u32, u64, i64, bool)];
        let rows: [(Heartbeats, Positions, Option<i64>); 9] = [
            (&[], &[], None),
            (&[(1, false, 1, 5, 90)], &[], None),
            (&[(1, false, 1, 5, 90)], &[(1, 5, 80, false)], Some(80)),
            (&[(1, false, 2, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 80, false), (2, 3, 70, false)], Some(70)),
            // A stream whose heartbeat has not reached this region may hold anything.
            (&[(1, false, 2, 5, 90)], &[(1, 5, 80, false)], None),
            // Sealed and followed to its end: it holds nothing back.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, false), (2, 3, 70, false)], Some(70)),
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 4, 60, false), (2, 3, 70, false)], Some(60)),
            (&[(1, true, 2, 5, 90), (2, true, 2, 5, 95)], &[(1, 5, 60, false), (2, 5, 70, false)], Some(95)),
            // Unless marks of it were lost.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, true), (2, 3, 70, false)], Some(60)),
        ];
        for (heartbeats, positions, expected) in rows {
            let of_heartbeats = heartbeats
                .iter()
                .map(|(id, closed, newest, written, at)| (StreamId(*id), heartbeat(*closed, *newest, *written, *at)));
            let of_positions = positions.iter().map(|(id, number, at, missed)| {
                (StreamId(*id), Position { number: *number, as_of: Time::from_secs(*at), missed: *missed })
            });
            let found = region_as_of(&of_heartbeats.collect(), &of_positions.collect());
            assert_eq!(found, expected.map(Time::from_secs), "{heartbeats:?} {positions:?}");
        }
    }
}
