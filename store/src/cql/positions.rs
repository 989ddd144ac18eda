//! How far this region has followed the streams of each, and whether marks of one were lost on the way.

use std::collections::BTreeMap;

use scylla::value::CqlTimestamp;
use yima_schema::time::Time;

use super::fault::fault;
use super::{Inner, StreamOf};
use crate::{Result, StoreError, StreamId};

const TABLE: &str = "positions";

/// A row of `positions`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    /// Marks up to this one are folded and published, or lost.
    pub(super) number: u64,
    /// Everything acknowledged in the stream before is folded and published.
    pub(super) as_of: Time,
    /// Marks were lost since the region was last reconciled: `as_of` stands where it was.
    pub(super) missed: bool,
}

impl Default for Position {
    /// Nothing was followed yet.
    fn default() -> Self {
        Self { number: 0, as_of: Time::MIN, missed: false }
    }
}

impl Inner {
    /// How far this region has followed each of a region's streams.
    pub(super) async fn positions(&self, region: &str) -> Result<BTreeMap<StreamId, Position>> {
        type Columns = (i32, Option<i64>, Option<CqlTimestamp>, Option<CqlTimestamp>, Option<CqlTimestamp>);
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let found = self.session.execute_unpaged(&self.statements.regions.positions, (region,)).await;
        let rows = found.map_err(|e| fault(TABLE, &e))?.into_rows_result().map_err(|_| corrupt())?;
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

    pub(super) async fn save_position(&self, of: &StreamOf, position: u64, as_of: Time) -> Result<()> {
        let row = (of.region.as_str(), of.stream.0 as i32, position as i64, CqlTimestamp(as_of.as_millis()));
        let saved = self.session.execute_unpaged(&self.statements.regions.save_position, row).await;
        saved.map(drop).map_err(|e| fault(TABLE, &e))
    }

    /// Remembers that marks of a stream were lost.
    pub(super) async fn note_missed(&self, of: &StreamOf) -> Result<()> {
        let now = CqlTimestamp((self.options.clock)().as_millis());
        let row = (now, of.region.as_str(), of.stream.0 as i32);
        let noted = self.session.execute_unpaged(&self.statements.regions.note_missed, row).await;
        noted.map(drop).map_err(|e| fault(TABLE, &e))
    }

    /// See [`crate::SubjectScan::reconciled`].
    pub(super) async fn note_reconciled(&self, since: Time) -> Result<()> {
        for (region, _) in self.other_regions().await? {
            for (stream, _) in self.positions(&region).await?.into_iter().filter(|(_, position)| position.missed) {
                let row = (CqlTimestamp(since.as_millis()), region.as_str(), stream.0 as i32);
                let noted = self.session.execute_unpaged(&self.statements.regions.note_reconciled, row).await;
                noted.map_err(|e| fault(TABLE, &e))?;
            }
        }
        Ok(())
    }
}
