//! Events, and the subjects that have any.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on events and on the subjects that have any.
pub(in crate::cql) struct Events {
    pub(in crate::cql) events: PreparedStatement,
    pub(in crate::cql) event_keys: PreparedStatement,
    pub(in crate::cql) event: PreparedStatement,
    pub(in crate::cql) insert_event: PreparedStatement,
    pub(in crate::cql) delete_event: PreparedStatement,
    pub(in crate::cql) subjects: PreparedStatement,
}

impl Events {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            events: p.read("SELECT event FROM {shared}.events WHERE subject = ? LIMIT ?").await?,
            event_keys: p
                .read("SELECT agency, id, revision, hash FROM {shared}.events WHERE subject = ? LIMIT ?")
                .await?,
            event: p
                .read(
                    "SELECT event FROM {shared}.events \
                     WHERE subject = ? AND agency = ? AND id = ? AND revision = ? AND hash = ?",
                )
                .await?,
            insert_event: p
                .write(
                    "INSERT INTO {shared}.events (subject, agency, id, revision, hash, event) \
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .await?,
            delete_event: p
                .write(
                    "DELETE FROM {shared}.events \
                     WHERE subject = ? AND agency = ? AND id = ? AND revision = ? AND hash = ?",
                )
                .await?,
            subjects: p
                .read(
                    "SELECT DISTINCT subject FROM {shared}.events \
                     WHERE token(subject) > ? AND token(subject) <= ? LIMIT ?",
                )
                .await?,
        })
    }
}
