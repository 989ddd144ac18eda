//! The audit log.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on the audit log. None updates or deletes.
pub(in crate::cql) struct Audit {
    pub(in crate::cql) append: PreparedStatement,
    pub(in crate::cql) since: PreparedStatement,
}

impl Audit {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            append: p.write("INSERT INTO {shared}.audit (region, day, at, id, record) VALUES (?, ?, ?, ?, ?)").await?,
            since: p.read("SELECT record FROM {shared}.audit WHERE region = ? AND day = ? AND at >= ? LIMIT ?").await?,
        })
    }
}
