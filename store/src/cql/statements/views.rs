//! Views, one for each subject.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on views.
pub(in crate::cql) struct Views {
    pub(in crate::cql) lookup: PreparedStatement,
    pub(in crate::cql) lookup_many: PreparedStatement,
    pub(in crate::cql) lookup_serially: PreparedStatement,
    pub(in crate::cql) first_view: PreparedStatement,
    pub(in crate::cql) next_view: PreparedStatement,
}

impl Views {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            lookup: p.hedged_read("SELECT version, body FROM {region}.views WHERE subject = ?").await?,
            lookup_many: p.hedged_read("SELECT subject, version, body FROM {region}.views WHERE subject IN ?").await?,
            lookup_serially: p.read_serially("SELECT version, body FROM {region}.views WHERE subject = ?").await?,
            first_view: p
                .compare_and_set("INSERT INTO {region}.views (subject, version, body) VALUES (?, ?, ?) IF NOT EXISTS")
                .await?,
            next_view: p
                .compare_and_set("UPDATE {region}.views SET version = ?, body = ? WHERE subject = ? IF version = ?")
                .await?,
        })
    }
}
