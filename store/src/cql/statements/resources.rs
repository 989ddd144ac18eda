//! The index of FHIR resources.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on FHIR resources.
pub(in crate::cql) struct Resources {
    pub(in crate::cql) insert: PreparedStatement,
    pub(in crate::cql) versions: PreparedStatement,
}

impl Resources {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            insert: p
                .write(
                    "INSERT INTO {shared}.resources (agency, id, revision, rank, subject, document) \
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .await?,
            versions: p
                .read("SELECT revision, rank, subject, document FROM {shared}.resources WHERE agency = ? AND id = ?")
                .await?,
        })
    }
}
