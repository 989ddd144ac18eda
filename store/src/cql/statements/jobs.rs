//! Leases, and progress of full scans.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on leases and progress.
pub(in crate::cql) struct Jobs {
    pub(in crate::cql) progress: PreparedStatement,
    pub(in crate::cql) save_progress: PreparedStatement,
    pub(in crate::cql) forget_progress: PreparedStatement,
    pub(in crate::cql) take_lease: PreparedStatement,
    pub(in crate::cql) renew_lease: PreparedStatement,
    pub(in crate::cql) release_lease: PreparedStatement,
}

impl Jobs {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            progress: p
                .read("SELECT upto, counts, started_at, updated_at FROM {region}.progress WHERE task = ?")
                .await?,
            save_progress: p
                .write(
                    "INSERT INTO {region}.progress (task, upto, counts, started_at, updated_at) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .await?,
            forget_progress: p.write("DELETE FROM {region}.progress WHERE task = ?").await?,
            take_lease: p
                .compare_and_set("INSERT INTO {region}.leases (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?")
                .await?,
            renew_lease: p
                .compare_and_set("UPDATE {region}.leases USING TTL ? SET owner = ? WHERE name = ? IF owner = ?")
                .await?,
            release_lease: p.compare_and_set("DELETE FROM {region}.leases WHERE name = ? IF owner = ?").await?,
        })
    }
}
