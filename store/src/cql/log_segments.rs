//! Numbered rows in partitions of 10,000: the shape that changes and marks share. A body is never empty, so an empty one says that the
//! number was never used.

use std::ops::Range;
use std::time::Duration;

use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::fault::fault;
use super::sequence::SPAN;
use super::session::within;
use super::statements::ttl;
use super::{Inner, StreamOf};
use crate::{Result, StoreError};

/// Rows in one partition.
pub(super) const PART_ROWS: u64 = 10_000;
/// Rows, and about bytes, in one write: one mutation of one partition, all or nothing. Well below what either server warns of.
const WRITE_ROWS: usize = 200;
const WRITE_BYTES: usize = 64 * 1024;
/// How long to wait before a write that failed is repeated, at first and at most.
pub(super) const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Which of a stream's two sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Changes,
    Marks,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Marks => "marks",
        }
    }
}

/// A number's partition.
pub(super) fn part(number: u64) -> u64 {
    number / PART_ROWS
}

/// Bodies as they are written together: few and small enough, in order.
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
    /// Writes rows under these numbers. They are the same bytes however often this is repeated.
    ///
    /// # Errors
    /// Some may have been written.
    pub(super) async fn write_rows(
        &self,
        table: Table,
        of: &StreamOf,
        numbers: Range<u64>,
        bodies: &[Vec<u8>],
    ) -> Result<()> {
        let mut from = 0;
        for in_part in numbers.clone().collect::<Vec<_>>().chunk_by(|a, b| part(*a) == part(*b)) {
            let bodies = &bodies[from..from + in_part.len()];
            from += in_part.len();
            self.write_in_part(table, of, in_part, bodies).await?;
        }
        Ok(())
    }

    async fn write_in_part(&self, table: Table, of: &StreamOf, numbers: &[u64], bodies: &[Vec<u8>]) -> Result<()> {
        let ttl = ttl(self.options.retention);
        let part = part(numbers[0]) as i64;
        let stream = of.stream.0 as i32;
        let insert = match table {
            Table::Changes => &self.statements.rows.insert_change,
            Table::Marks => &self.statements.rows.insert_mark,
        };
        let rows = numbers.iter().zip(bodies);
        match table {
            Table::Changes => {
                let rows = rows.map(|(n, body)| (stream, part, *n as i64, body, ttl)).collect();
                self.write_together(table, insert, rows).await
            }
            Table::Marks => {
                let rows = rows.map(|(n, body)| (of.region.as_str(), stream, part, *n as i64, body, ttl)).collect();
                self.write_together(table, insert, rows).await
            }
        }
    }

    /// Rows of one partition; one alone needs no batch.
    async fn write_together(
        &self,
        table: Table,
        insert: &PreparedStatement,
        rows: Vec<impl SerializeRow>,
    ) -> Result<()> {
        let done = match &rows[..] {
            [row] => self.session.execute_unpaged(insert, row).await,
            _ => {
                let mut batch = Batch::new(BatchType::Unlogged);
                batch.set_consistency(Consistency::LocalQuorum);
                batch.set_is_idempotent(true);
                rows.iter().for_each(|_| batch.append_statement(insert.clone()));
                self.session.batch(&batch, rows).await
            }
        };
        done.map(drop).map_err(|e| fault(table.name(), &e))
    }

    /// The same, until it is done.
    pub(super) async fn write_rows_forever(
        &self,
        table: Table,
        of: &StreamOf,
        numbers: Range<u64>,
        bodies: &[Vec<u8>],
    ) {
        retry_forever(table.name(), || self.write_rows(table, of, numbers.clone(), bodies)).await;
    }

    /// Up to `limit` rows above `after`, ascending; bodies may be empty.
    pub(super) async fn read_rows(
        &self,
        table: Table,
        of: &StreamOf,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        self.read_rows_at(None, table, of, after, limit).await
    }

    /// The same as another datacenter has them, if one is given.
    pub(super) async fn read_rows_at(
        &self,
        datacenter: Option<&str>,
        table: Table,
        of: &StreamOf,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        if after >= i64::MAX as u64 || limit == 0 {
            return Ok(Vec::new());
        }
        let mut rows = self.read_part(datacenter, table, of, part(after + 1), after, limit).await?;
        // Rows of the next partition can be there before the last ones of this.
        let seen = rows.last().map_or(after, |row| row.0);
        let edge = (part(after + 1) + 1) * PART_ROWS;
        if rows.len() < limit && seen + SPAN >= edge {
            rows.extend(self.read_part(datacenter, table, of, part(edge), seen, limit - rows.len()).await?);
        }
        Ok(rows)
    }

    async fn read_part(
        &self,
        datacenter: Option<&str>,
        table: Table,
        of: &StreamOf,
        part: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        let (stream, part, after) = (of.stream.0 as i32, part as i64, after as i64);
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let found = match (table, datacenter) {
            (Table::Changes, _) => {
                self.session.execute_unpaged(&self.statements.rows.changes, (stream, part, after, limit)).await
            }
            (Table::Marks, None) => {
                let asked = (of.region.as_str(), stream, part, after, limit);
                self.session.execute_unpaged(&self.statements.rows.marks, asked).await
            }
            (Table::Marks, Some(datacenter)) => {
                let asked = (of.region.as_str(), stream, part, after, limit);
                self.session.execute_unpaged(&elsewhere(&self.statements.rows.marks, datacenter), asked).await
            }
        };
        let corrupt = || StoreError::Corrupt { table: table.name(), what: "a row".into() };
        let found = found.map_err(|e| fault(table.name(), &e))?.into_rows_result().map_err(|_| corrupt())?;
        let rows = found.rows::<(i64, Vec<u8>)>().map_err(|_| corrupt())?;
        rows.map(|row| row.map(|(number, body)| (number as u64, body)).map_err(|_| corrupt())).collect()
    }

    /// The numbers between `after` and the last row that is there, and which of them are missing. No row is further than [`SPAN`] above
    /// the one before.
    pub(super) async fn survey(&self, table: Table, of: &StreamOf, after: u64) -> Result<(u64, Vec<u64>)> {
        const PAGE: usize = 5_000;
        let (mut last, mut missing) = (after, Vec::new());
        loop {
            let rows = self.read_rows(table, of, last, PAGE).await?;
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

/// Repeats something that may be repeated, until it is done.
pub(super) async fn retry_forever<T, W: Future<Output = Result<T>>>(table: &'static str, work: impl Fn() -> W) -> T {
    let mut wait = RETRY.0;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(fault) => {
                tracing::warn!(%fault, table, "a write waits for the store");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
        }
    }
}

/// A statement that is sent to another datacenter, whose LOCAL_QUORUM it then asks.
pub(super) fn elsewhere(statement: &PreparedStatement, datacenter: &str) -> PreparedStatement {
    let mut statement = statement.clone();
    statement.set_load_balancing_policy(Some(within(datacenter)));
    statement
}
