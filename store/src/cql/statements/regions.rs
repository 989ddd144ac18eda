//! The registry of regions, and the positions in their streams.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on regions and positions.
pub(in crate::cql) struct Regions {
    pub(in crate::cql) regions: PreparedStatement,
    pub(in crate::cql) region: PreparedStatement,
    pub(in crate::cql) raise_rules: PreparedStatement,
    pub(in crate::cql) finish_rebuild: PreparedStatement,
    pub(in crate::cql) positions: PreparedStatement,
    pub(in crate::cql) save_position: PreparedStatement,
    pub(in crate::cql) note_missed: PreparedStatement,
    pub(in crate::cql) note_reconciled: PreparedStatement,
}

impl Regions {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            regions: p.read("SELECT region, datacenter FROM {shared}.regions").await?,
            region: p.read("SELECT epoch, state, rules_version FROM {shared}.regions WHERE region = ?").await?,
            raise_rules: p
                .compare_and_set("UPDATE {shared}.regions SET rules_version = ? WHERE region = ? IF rules_version = ?")
                .await?,
            finish_rebuild: p
                .compare_and_set(
                    "UPDATE {shared}.regions SET state = 'ready' WHERE region = ? \
                     IF state = 'rebuilding' AND epoch = ?",
                )
                .await?,
            positions: p
                .read(
                    "SELECT stream, number, as_of, missed_at, reconciled_at FROM {region}.positions \
                     WHERE region = ?",
                )
                .await?,
            save_position: p
                .write("INSERT INTO {region}.positions (region, stream, number, as_of) VALUES (?, ?, ?, ?)")
                .await?,
            note_missed: p.write("UPDATE {region}.positions SET missed_at = ? WHERE region = ? AND stream = ?").await?,
            note_reconciled: p
                .write("UPDATE {region}.positions SET reconciled_at = ? WHERE region = ? AND stream = ?")
                .await?,
        })
    }
}
