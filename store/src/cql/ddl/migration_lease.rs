//! The right to migrate one keyspace: a row with a TTL in its table of migrations.

use std::time::{Duration, Instant};

use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::{Consistency, SerialConsistency, Statement};
use scylla::value::Row;

use super::schema::MIGRATIONS;
use super::schema_changes::DDL_TIMEOUT;
use crate::cql::error::from_driver;
use crate::cql::outcome::compared;
use crate::{Result, StoreError};

/// How long the lease lasts without its holder: longer than one migration takes.
const LEASE_S: i32 = 60;
/// How long to wait for another holder, and how often to try.
const WAIT: Duration = Duration::from_secs(90);
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Whose replicas take part in a migration.
#[derive(Clone, Copy)]
pub(super) enum Quorum {
    /// Those of all regions: any of them may migrate the shared keyspace.
    All,
    /// Those of this region: the others are down.
    Here,
}

impl Quorum {
    pub(super) fn statement(self, text: &str) -> Statement {
        let (consistency, serial) = match self {
            Self::All => (Consistency::Quorum, SerialConsistency::Serial),
            Self::Here => (Consistency::LocalQuorum, SerialConsistency::LocalSerial),
        };
        let mut statement = Statement::new(text);
        statement.set_consistency(consistency);
        statement.set_serial_consistency(Some(serial));
        statement.set_request_timeout(Some(DDL_TIMEOUT));
        statement
    }
}

/// A lease on the migration of one keyspace.
pub(super) struct MigrationLease<'a> {
    session: &'a Session,
    keyspace: String,
    owner: String,
    quorum: Quorum,
}

impl<'a> MigrationLease<'a> {
    pub(super) async fn take(session: &'a Session, keyspace: &str, quorum: Quorum) -> Result<Self> {
        let owner = format!("{:032x}", rand::random::<u128>());
        let text = format!(
            "INSERT INTO {keyspace}.{MIGRATIONS} (keyspace_name, number, name) VALUES (?, 0, ?) \
             IF NOT EXISTS USING TTL {LEASE_S}"
        );
        let began = Instant::now();
        loop {
            // Among many contenders the outcome can stay unknown: then the next attempt reads it.
            match compare_and_set(session, MIGRATIONS, quorum.statement(&text), (keyspace, &owner)).await {
                Ok((true, _)) => break,
                Ok((false, row)) if is_owner(&row, &owner) => break,
                Ok((false, _)) | Err(StoreError::TimedOut) => {}
                Err(StoreError::Unavailable(why)) if matches!(quorum, Quorum::All) => {
                    return Err(StoreError::Unavailable(format!(
                        "{why}; is another region down? `yima migrate --alone` does without it"
                    )));
                }
                Err(error) => return Err(error),
            }
            if began.elapsed() > WAIT {
                return Err(StoreError::Unavailable(format!(
                    "another process has been migrating the keyspace {keyspace} for {} s: try again later",
                    WAIT.as_secs()
                )));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        Ok(Self { session, keyspace: keyspace.to_owned(), owner, quorum })
    }

    pub(super) async fn release(self) -> Result<()> {
        let text =
            format!("DELETE FROM {}.{MIGRATIONS} WHERE keyspace_name = ? AND number = 0 IF name = ?", self.keyspace);
        // With an unknown outcome the lease ends by its TTL at the latest.
        match compare_and_set(self.session, MIGRATIONS, self.quorum.statement(&text), (&self.keyspace, &self.owner))
            .await
        {
            Ok(_) | Err(StoreError::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether the row of a lease that is taken names this owner.
fn is_owner(row: &Row, owner: &str) -> bool {
    row.columns.iter().flatten().any(|value| value.as_text().is_some_and(|text| text == owner))
}

/// Runs a compare-and-set and returns whether it was applied, and the row it answered.
pub(super) async fn compare_and_set(
    session: &Session,
    table: &'static str,
    statement: Statement,
    values: impl SerializeRow,
) -> Result<(bool, Row)> {
    compared(table, session.query_unpaged(statement, values).await.map_err(|e| from_driver(table, &e))?)
}
