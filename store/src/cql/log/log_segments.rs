//! Log segments: a stream's numbered rows in partitions of 10,000, the shape that changes and marks share. A body is
//! never empty: an empty one (void row) says that the number was never used.

use std::ops::Range;

use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::sequence::SPAN;
use crate::cql::error::from_driver;
use crate::cql::retry::retry_forever;
use crate::cql::session::routed;
use crate::cql::statements::ttl;
use crate::cql::{Inner, RegionStream};
use crate::{Result, StoreError};

/// Rows in one segment.
pub(in crate::cql) const SEGMENT_ROWS: u64 = 10_000;
/// Rows in one write, and bytes, about: one mutation of one partition, all or nothing. Well below what either server
/// warns of.
const WRITE_ROWS: usize = 200;
const WRITE_BYTES: usize = 64 * 1024;

/// A number with its row's body.
pub(in crate::cql) type LogRow = (u64, Vec<u8>);

/// One of a stream's two sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cql) enum LogTable {
    Changes,
    Marks,
}

impl LogTable {
    fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Marks => "marks",
        }
    }
}

/// A number's segment: the column `part`.
pub(in crate::cql) fn segment(number: u64) -> u64 {
    number / SEGMENT_ROWS
}

/// Splits bodies, in order, into writes within both bounds.
pub(super) fn chunks(bodies: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut chunks: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for body in bodies {
        let full = chunks.last().is_none_or(|chunk| chunk.len() >= WRITE_ROWS || bytes + body.len() > WRITE_BYTES);
        if full {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += body.len();
        chunks.last_mut().expect("pushed above").push(body);
    }
    chunks
}

impl Inner {
    /// Writes rows under these numbers. A repetition writes the same bytes.
    ///
    /// # Errors
    /// Some rows may have been written.
    pub(super) async fn write_rows(
        &self,
        table: LogTable,
        stream: &RegionStream,
        numbers: Range<u64>,
        bodies: &[Vec<u8>],
    ) -> Result<()> {
        let mut from = 0;
        for numbers in numbers.collect::<Vec<_>>().chunk_by(|a, b| segment(*a) == segment(*b)) {
            let bodies = &bodies[from..from + numbers.len()];
            from += numbers.len();
            self.write_in_segment(table, stream, numbers, bodies).await?;
        }
        Ok(())
    }

    /// The same, repeated until it succeeds.
    pub(super) async fn write_rows_forever(
        &self,
        table: LogTable,
        stream: &RegionStream,
        numbers: Range<u64>,
        bodies: &[Vec<u8>],
    ) {
        retry_forever(table.name(), || self.write_rows(table, stream, numbers.clone(), bodies)).await;
    }

    async fn write_in_segment(
        &self,
        table: LogTable,
        stream: &RegionStream,
        numbers: &[u64],
        bodies: &[Vec<u8>],
    ) -> Result<()> {
        let ttl = ttl(self.options.retention);
        let part = segment(numbers[0]) as i64;
        let (region, id) = (stream.region.as_str(), stream.stream.0 as i32);
        let rows = numbers.iter().zip(bodies);
        match table {
            LogTable::Changes => {
                let rows = rows.map(|(n, body)| (id, part, *n as i64, body, ttl)).collect();
                self.write_batch(table, &self.statements.segments.insert_change, rows).await
            }
            LogTable::Marks => {
                let rows = rows.map(|(n, body)| (region, id, part, *n as i64, body, ttl)).collect();
                self.write_batch(table, &self.statements.segments.insert_mark, rows).await
            }
        }
    }

    /// Writes rows of one partition together; a single row needs no batch.
    async fn write_batch(
        &self,
        table: LogTable,
        insert: &PreparedStatement,
        rows: Vec<impl SerializeRow>,
    ) -> Result<()> {
        if let [row] = &rows[..] {
            return self.execute(table.name(), insert, row).await.map(drop);
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_is_idempotent(true);
        rows.iter().for_each(|_| batch.append_statement(insert.clone()));
        self.fence.check()?;
        self.session.batch(&batch, rows).await.map(drop).map_err(|e| from_driver(table.name(), &e))
    }

    /// Up to `limit` rows above `after`, ascending; bodies may be empty.
    pub(in crate::cql) async fn read_rows(
        &self,
        table: LogTable,
        stream: &RegionStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogRow>> {
        self.read_rows_at(None, table, stream, after, limit).await
    }

    /// The same as another datacenter has them, if one is given.
    pub(in crate::cql) async fn read_rows_at(
        &self,
        datacenter: Option<&str>,
        table: LogTable,
        stream: &RegionStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogRow>> {
        if after >= i64::MAX as u64 || limit == 0 {
            return Ok(Vec::new());
        }
        let first = segment(after + 1);
        let mut rows = self.read_segment(datacenter, table, stream, first, after, limit).await?;
        // Rows of the next segment can be there before the last ones of this segment.
        let highest = rows.last().map_or(after, |row| row.0);
        let edge = (first + 1) * SEGMENT_ROWS;
        if rows.len() < limit && highest + SPAN >= edge {
            let limit = limit - rows.len();
            rows.extend(self.read_segment(datacenter, table, stream, segment(edge), highest, limit).await?);
        }
        Ok(rows)
    }

    async fn read_segment(
        &self,
        datacenter: Option<&str>,
        table: LogTable,
        stream: &RegionStream,
        segment: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogRow>> {
        let (region, id) = (stream.region.as_str(), stream.stream.0 as i32);
        let (part, after, limit) = (segment as i64, after as i64, i32::try_from(limit).unwrap_or(i32::MAX));
        let statements = &self.statements.segments;
        let found = match table {
            // A region's changes are in its own datacenter only.
            LogTable::Changes => self.query(table.name(), &statements.changes, (id, part, after, limit)).await?,
            LogTable::Marks => {
                let marks = routed(&statements.marks, datacenter);
                self.query(table.name(), &marks, (region, id, part, after, limit)).await?
            }
        };
        let corrupt = || StoreError::Corrupt { table: table.name(), what: "a row".into() };
        let rows = found.rows::<(i64, Vec<u8>)>().map_err(|_| corrupt())?;
        rows.map(|row| row.map(|(number, body)| (number as u64, body)).map_err(|_| corrupt())).collect()
    }

    /// The number of the last row above `after`, and the missing numbers below it. No row is further than [`SPAN`]
    /// above the one before.
    pub(super) async fn find_gaps(
        &self,
        table: LogTable,
        stream: &RegionStream,
        after: u64,
    ) -> Result<(u64, Vec<u64>)> {
        const PAGE_ROWS: usize = 5_000;
        let (mut last, mut missing) = (after, Vec::new());
        loop {
            let rows = self.read_rows(table, stream, last, PAGE_ROWS).await?;
            if rows.is_empty() {
                return Ok((last, missing));
            }
            for (number, _) in rows {
                missing.extend(last + 1..number);
                last = number;
            }
        }
    }
}
