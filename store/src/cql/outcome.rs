//! Reads an answer of the database: rows, or whether a compare-and-set was applied.

use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::value::{CqlValue, Row};

use crate::{Result, StoreError};

/// The rows of an answer.
pub(super) fn rows(table: &'static str, result: QueryResult) -> Result<QueryRowsResult> {
    result.into_rows_result().map_err(|_| StoreError::Corrupt { table, what: "an answer without rows".into() })
}

/// Whether a compare-and-set was applied.
pub(super) fn was_applied(table: &'static str, result: QueryResult) -> Result<bool> {
    compared(table, result).map(|(applied, _)| applied)
}

/// Whether a compare-and-set was applied, and the row it answered. ScyllaDB sends the row along in any case, Cassandra
/// only if the condition did not hold; the first column is the outcome.
pub(super) fn compared(table: &'static str, result: QueryResult) -> Result<(bool, Row)> {
    let corrupt = || StoreError::Corrupt { table, what: "the outcome of a compare-and-set".into() };
    let row = result.into_rows_result().map_err(|_| corrupt())?.first_row::<Row>().map_err(|_| corrupt())?;
    let applied = row.columns.first().and_then(Option::as_ref).and_then(CqlValue::as_boolean);
    Ok((applied.ok_or_else(corrupt)?, row))
}
