//! Dead letters.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

/// Prepared statements on dead letters.
pub(in crate::cql) struct DeadLetters {
    pub(in crate::cql) insert: PreparedStatement,
    pub(in crate::cql) of_day: PreparedStatement,
    pub(in crate::cql) delete: PreparedStatement,
}

impl DeadLetters {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            insert: p
                .write(
                    "INSERT INTO {shared}.dead_letters (region, day, digest, content) VALUES (?, ?, ?, ?) \
                     USING TTL ?",
                )
                .await?,
            of_day: p
                .read(
                    "SELECT digest, content FROM {shared}.dead_letters \
                     WHERE region = ? AND day = ? AND digest > ? LIMIT ?",
                )
                .await?,
            delete: p.write("DELETE FROM {shared}.dead_letters WHERE region = ? AND day = ? AND digest = ?").await?,
        })
    }
}
