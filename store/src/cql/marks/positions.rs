//! Positions: how far this region has followed each stream's marks, and whether marks of it were lost on the way.

use std::collections::BTreeMap;

use scylla::value::CqlTimestamp;
use yima_schema::time::Time;

use crate::cql::{Inner, RegionStream};
use crate::{Result, StoreError, StreamId};

const TABLE: &str = "positions";

/// A row of `positions`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cql) struct Position {
    /// Marks up to this one are folded and published, or lost.
    pub(in crate::cql) number: u64,
    /// Everything acknowledged in the stream before this moment is folded and published.
    pub(in crate::cql) as_of: Time,
    /// Marks were lost since the region was last reconciled: `as_of` stands still.
    pub(in crate::cql) missed: bool,
}

impl Default for Position {
    /// The stream is not followed yet.
    fn default() -> Self {
        Self { number: 0, as_of: Time::MIN, missed: false }
    }
}

impl Inner {
    /// This region's positions in a region's streams.
    pub(in crate::cql) async fn positions(&self, region: &str) -> Result<BTreeMap<StreamId, Position>> {
        type Columns = (i32, Option<i64>, Option<CqlTimestamp>, Option<CqlTimestamp>, Option<CqlTimestamp>);
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.query(TABLE, &self.statements.regions.positions, (region,)).await?;
        let mut positions = BTreeMap::new();
        for row in rows.rows::<Columns>().map_err(|_| corrupt())? {
            let (stream, number, as_of, missed_at, reconciled_at) = row.map_err(|_| corrupt())?;
            let position = Position {
                number: number.unwrap_or(0) as u64,
                as_of: as_of.map_or(Time::MIN, |as_of| Time::from_millis(as_of.0)),
                missed: missed_at.is_some_and(|missed| reconciled_at.is_none_or(|since| since.0 <= missed.0)),
            };
            positions.insert(StreamId(stream as u32), position);
        }
        Ok(positions)
    }

    /// Saves a stream's position; `missed` stays as it is.
    pub(in crate::cql) async fn save_position(&self, stream: &RegionStream, position: u64, as_of: Time) -> Result<()> {
        let as_of = CqlTimestamp(as_of.as_millis());
        let row = (stream.region.as_str(), stream.stream.0 as i32, position as i64, as_of);
        self.execute(TABLE, &self.statements.regions.save_position, row).await.map(drop)
    }

    /// Remembers that marks of a stream were lost.
    pub(in crate::cql) async fn note_missed(&self, stream: &RegionStream) -> Result<()> {
        let now = CqlTimestamp((self.options.clock)().as_millis());
        let row = (now, stream.region.as_str(), stream.stream.0 as i32);
        self.execute(TABLE, &self.statements.regions.note_missed, row).await.map(drop)
    }

    /// See [`crate::SubjectScan::reconciled`].
    pub(in crate::cql) async fn note_reconciled(&self, regions: &[String], since: Time) -> Result<()> {
        for region in regions {
            for (stream, _) in self.positions(region).await?.into_iter().filter(|(_, position)| position.missed) {
                let row = (CqlTimestamp(since.as_millis()), region.as_str(), stream.0 as i32);
                self.execute(TABLE, &self.statements.regions.note_reconciled, row).await?;
            }
        }
        Ok(())
    }
}
