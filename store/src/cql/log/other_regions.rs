//! The other regions, and how much of each this region has folded and published.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::try_join;
use parking_lot::Mutex;
use yima_schema::time::Time;

use super::heartbeat::Heartbeat;
use crate::cql::Inner;
use crate::cql::marks::positions::Position;
use crate::cql::retirement::Retirement;
use crate::{Result, StoreError, StreamId};

/// How long the other regions' progress is used before it is read again, and how long their names. The first bounds the
/// reads of a follower that this process' publications wake, the second how long a retired region is still followed.
const PROGRESS_LASTS: Duration = Duration::from_millis(100);
const NAMES_LAST: Duration = Duration::from_secs(5);

/// Another region that is followed here.
#[derive(Clone)]
pub(in crate::cql) struct OtherRegion {
    pub(in crate::cql) name: String,
    pub(in crate::cql) datacenter: String,
    /// It was retired and came back with this stream: one below that never became known here holds nothing back, since
    /// the rejoin has marked again what this region lacked.
    first_stream: StreamId,
}

/// The other regions as they were last read.
#[derive(Default)]
pub(in crate::cql) struct OtherRegions {
    active: Mutex<Cached<OtherRegion>>,
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
    /// Every registered region and its datacenter, retired ones too.
    pub(in crate::cql) async fn registered_regions(&self) -> Result<Vec<(String, String)>> {
        const TABLE: &str = "regions";
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.query(TABLE, &self.statements.regions.regions, ()).await?;
        // A row without a datacenter is what is left of an expired or deleted one.
        let regions: std::result::Result<Vec<(String, Option<String>)>, _> =
            rows.rows().map_err(|_| corrupt())?.collect();
        let regions = regions.map_err(|_| corrupt())?;
        Ok(regions.into_iter().filter_map(|(name, datacenter)| Some((name, datacenter?))).collect())
    }

    /// The other regions that are not retired, in the order of their names.
    pub(in crate::cql) async fn other_regions(&self) -> Result<Vec<OtherRegion>> {
        if let Some(active) = self.other_regions.active.lock().younger_than(NAMES_LAST) {
            return Ok(active);
        }
        let (regions, retirements) = try_join(self.registered_regions(), self.retirements()).await?;
        let active = |(name, datacenter): (String, String)| {
            let retirement = retirements.iter().find(|row| row.region == name);
            let is_other = name != self.options.region && !retirement.is_some_and(Retirement::is_out_of_service);
            let first_stream = retirement.map_or(StreamId(0), |row| row.first_stream);
            is_other.then_some(OtherRegion { name, datacenter, first_stream })
        };
        let mut active: Vec<OtherRegion> = regions.into_iter().filter_map(active).collect();
        active.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.other_regions.active.lock().set(&active);
        Ok(active)
    }

    /// Another region's datacenter; `None` for this one's.
    pub(in crate::cql) async fn datacenter_of(&self, region: &str) -> Result<Option<String>> {
        let mut regions = self.other_regions().await?.into_iter();
        Ok(regions.find(|other| other.name == region).map(|other| other.datacenter))
    }

    /// See [`crate::Registry::regions`].
    pub(super) async fn regions_as_of(&self) -> Result<Vec<(String, Option<Time>)>> {
        if let Some(as_of) = self.other_regions.as_of.lock().younger_than(PROGRESS_LASTS) {
            return Ok(as_of);
        }
        let mut as_of = Vec::new();
        for region in self.other_regions().await? {
            let (heartbeats, positions) = self.heartbeats_and_positions(&region.name).await?;
            as_of.push((region.name, region_as_of(&heartbeats, &positions, region.first_stream)));
        }
        self.other_regions.as_of.lock().set(&as_of);
        Ok(as_of)
    }
}

/// The moment before which everything acknowledged in a region is folded and published here. `None`: unknown, because a
/// stream is not followed yet, or its heartbeat has not reached this region. Below `first_stream` only known streams
/// count.
pub(in crate::cql) fn region_as_of(
    heartbeats: &BTreeMap<StreamId, Heartbeat>,
    positions: &BTreeMap<StreamId, Position>,
    first_stream: StreamId,
) -> Option<Time> {
    let newest = heartbeats.values().map(|heartbeat| heartbeat.newest).max()?;
    let lowest = heartbeats.keys().chain(positions.keys()).min()?.max(&first_stream).0;
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
        let rows: [(Heartbeats, Positions, u32, Option<i64>); 11] = [
            (&[], &[], 0, None),
            (&[(1, false, 1, 5, 90)], &[], 0, None),
            (&[(1, false, 1, 5, 90)], &[(1, 5, 80, false)], 0, Some(80)),
            (&[(1, false, 2, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 80, false), (2, 3, 70, false)], 0, Some(70)),
            // A stream whose heartbeat has not reached this region may hold anything.
            (&[(1, false, 2, 5, 90)], &[(1, 5, 80, false)], 0, None),
            // Unless the region has come back with a later one.
            (&[(1, true, 3, 5, 90), (3, false, 3, 5, 95)], &[(1, 5, 60, false), (3, 5, 80, false)], 3, Some(80)),
            (&[(1, true, 4, 5, 90), (3, false, 4, 5, 95)], &[(1, 5, 60, false), (3, 5, 80, false)], 3, None),
            // Sealed and followed to its end: it holds nothing back.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, false), (2, 3, 70, false)], 0, Some(70)),
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 4, 60, false), (2, 3, 70, false)], 0, Some(60)),
            (&[(1, true, 2, 5, 90), (2, true, 2, 5, 95)], &[(1, 5, 60, false), (2, 5, 70, false)], 0, Some(95)),
            // Unless marks of it were lost.
            (&[(1, true, 1, 5, 90), (2, false, 2, 5, 95)], &[(1, 5, 60, true), (2, 3, 70, false)], 0, Some(60)),
        ];
        for (heartbeats, positions, first, expected) in rows {
            let of_heartbeats = heartbeats
                .iter()
                .map(|(id, closed, newest, written, at)| (StreamId(*id), heartbeat(*closed, *newest, *written, *at)));
            let of_positions = positions.iter().map(|(id, number, at, missed)| {
                (StreamId(*id), Position { number: *number, as_of: Time::from_secs(*at), missed: *missed })
            });
            let found = region_as_of(&of_heartbeats.collect(), &of_positions.collect(), StreamId(first));
            assert_eq!(found, expected.map(Time::from_secs), "{heartbeats:?} {positions:?}");
        }
    }
}
