//! Numbered rows of a stream: changes and marks.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on changes and marks.
pub(in crate::cql) struct Segments {
    pub(in crate::cql) insert_change: PreparedStatement,
    pub(in crate::cql) changes: PreparedStatement,
    pub(in crate::cql) insert_mark: PreparedStatement,
    pub(in crate::cql) marks: PreparedStatement,
    pub(in crate::cql) first_mark: PreparedStatement,
}

impl Segments {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            insert_change: p
                .write("INSERT INTO {region}.changes (stream, part, number, body) VALUES (?, ?, ?, ?) USING TTL ?")
                .await?,
            changes: p
                .hedged_read(
                    "SELECT number, body FROM {region}.changes \
                     WHERE stream = ? AND part = ? AND number > ? LIMIT ?",
                )
                .await?,
            insert_mark: p
                .write(
                    "INSERT INTO {shared}.marks (region, stream, part, number, body) VALUES (?, ?, ?, ?, ?) \
                     USING TTL ?",
                )
                .await?,
            marks: p
                .hedged_read(
                    "SELECT number, body FROM {shared}.marks \
                     WHERE region = ? AND stream = ? AND part = ? AND number > ? LIMIT ?",
                )
                .await?,
            first_mark: p
                .read("SELECT number FROM {shared}.marks WHERE region = ? AND stream = ? AND part = ? LIMIT 1")
                .await?,
        })
    }
}
