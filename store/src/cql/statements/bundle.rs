//! Denials, and the offline bundle.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on denials and the bundle.
pub(in crate::cql) struct Bundle {
    pub(in crate::cql) deny: PreparedStatement,
    pub(in crate::cql) denials: PreparedStatement,
    pub(in crate::cql) keep_part: PreparedStatement,
    pub(in crate::cql) part: PreparedStatement,
    pub(in crate::cql) row: PreparedStatement,
    pub(in crate::cql) first_index: PreparedStatement,
    pub(in crate::cql) next_index: PreparedStatement,
    pub(in crate::cql) set_row: PreparedStatement,
    pub(in crate::cql) remove_row: PreparedStatement,
}

impl Bundle {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            deny: p.write("INSERT INTO {region}.denials (slot, bucket, tag) VALUES (?, ?, ?) USING TTL ?").await?,
            denials: p
                .read("SELECT tag FROM {region}.denials WHERE slot = ? AND bucket = ? AND tag > ? LIMIT ?")
                .await?,
            keep_part: p.write("INSERT INTO {region}.bundle_parts (sha256, part) VALUES (?, ?) USING TTL ?").await?,
            part: p.read("SELECT part FROM {region}.bundle_parts WHERE sha256 = ?").await?,
            row: p.read("SELECT at, body FROM {region}.bundle WHERE name = ?").await?,
            first_index: p
                .compare_and_set("INSERT INTO {region}.bundle (name, at, body) VALUES ('index', ?, ?) IF NOT EXISTS")
                .await?,
            next_index: p
                .compare_and_set("UPDATE {region}.bundle SET at = ?, body = ? WHERE name = 'index' IF at = ?")
                .await?,
            set_row: p.write("INSERT INTO {region}.bundle (name, at, body) VALUES (?, 0, ?)").await?,
            remove_row: p.write("DELETE FROM {region}.bundle WHERE name = ?").await?,
        })
    }
}
