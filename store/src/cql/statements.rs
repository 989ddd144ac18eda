//! Every statement, prepared at start, with its consistency and what may be done when it fails.
//!
//! | kind | consistency | idempotent | when it fails |
//! |---|---|---|---|
//! | read | LOCAL_QUORUM: sees what was acknowledged, and does not go back (both servers repair what a quorum read found uneven first) | yes | once more on another replica |
//! | look-up | the same | yes | the same; also sent to another replica after `speculate_after` |
//! | write | LOCAL_QUORUM: what is acknowledged is on a majority | yes: a key is only ever written with the same bytes | once more on another replica |
//! | compare-and-set | LOCAL_SERIAL, committed at LOCAL_QUORUM: a row belongs to one region | no | never again by itself: its outcome is read serially |
//! | serial read | LOCAL_SERIAL: finishes a compare-and-set that is under way | yes | once more on another replica |

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::options::CqlOptions;
use crate::{Result, StoreError};

/// See the module.
pub(super) struct Statements {
    pub(super) lookup: PreparedStatement,
    pub(super) lookup_many: PreparedStatement,
    pub(super) lookup_serially: PreparedStatement,
    pub(super) first_view: PreparedStatement,
    pub(super) next_view: PreparedStatement,
    pub(super) events: PreparedStatement,
    pub(super) event_keys: PreparedStatement,
    pub(super) event: PreparedStatement,
    pub(super) insert_event: PreparedStatement,
    pub(super) insert_change: PreparedStatement,
    pub(super) changes: PreparedStatement,
    pub(super) insert_mark: PreparedStatement,
    pub(super) marks: PreparedStatement,
    pub(super) newest_stream: PreparedStatement,
    pub(super) newest_stream_serially: PreparedStatement,
    pub(super) first_stream: PreparedStatement,
    pub(super) next_stream: PreparedStatement,
    pub(super) stream: PreparedStatement,
    pub(super) streams: PreparedStatement,
    pub(super) begin_closing: PreparedStatement,
    pub(super) finish_closing: PreparedStatement,
    pub(super) beat: PreparedStatement,
    pub(super) heartbeats: PreparedStatement,
    pub(super) regions: PreparedStatement,
    pub(super) region: PreparedStatement,
    pub(super) raise_rules: PreparedStatement,
    pub(super) finish_rebuild: PreparedStatement,
    pub(super) subjects: PreparedStatement,
    pub(super) progress: PreparedStatement,
    pub(super) save_progress: PreparedStatement,
    pub(super) forget_progress: PreparedStatement,
    pub(super) first_mark: PreparedStatement,
    pub(super) clock: PreparedStatement,
    pub(super) positions: PreparedStatement,
    pub(super) save_position: PreparedStatement,
    pub(super) note_missed: PreparedStatement,
    pub(super) note_reconciled: PreparedStatement,
    pub(super) take_lease: PreparedStatement,
    pub(super) renew_lease: PreparedStatement,
    pub(super) give_back_lease: PreparedStatement,
}

/// How a statement behaves.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Lookup,
    Write,
    CompareAndSet,
    SerialRead,
}

impl Statements {
    /// Prepares all of them.
    pub(super) async fn prepare(session: &Session, options: &CqlOptions) -> Result<Self> {
        let profile = session.get_default_execution_profile_handle();
        let patient = profile.pointee_to_builder();
        let speculation =
            SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: options.speculate_after };
        let impatient = patient.speculative_execution_policy(Some(Arc::new(speculation))).build().into_handle();
        let p = Preparing { session, shared: &options.keyspace, region: options.region_keyspace(), impatient };
        Ok(Self {
            lookup: p.prepare(Kind::Lookup, "SELECT version, body FROM {region}.views WHERE subject = ?").await?,
            lookup_many: p
                .prepare(Kind::Lookup, "SELECT subject, version, body FROM {region}.views WHERE subject IN ?")
                .await?,
            lookup_serially: p
                .prepare(Kind::SerialRead, "SELECT version, body FROM {region}.views WHERE subject = ?")
                .await?,
            first_view: p
                .prepare(
                    Kind::CompareAndSet,
                    "INSERT INTO {region}.views (subject, version, body) VALUES (?, ?, ?) IF NOT EXISTS",
                )
                .await?,
            next_view: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {region}.views SET version = ?, body = ? WHERE subject = ? IF version = ?",
                )
                .await?,
            events: p.prepare(Kind::Read, "SELECT event FROM {shared}.events WHERE subject = ? LIMIT ?").await?,
            event_keys: p
                .prepare(Kind::Read, "SELECT agency, id, revision, hash FROM {shared}.events WHERE subject = ? LIMIT ?")
                .await?,
            event: p
                .prepare(
                    Kind::Read,
                    "SELECT event FROM {shared}.events WHERE subject = ? AND agency = ? AND id = ? AND revision = ? AND hash = ?",
                )
                .await?,
            insert_event: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {shared}.events (subject, agency, id, revision, hash, event) VALUES (?, ?, ?, ?, ?, ?)",
                )
                .await?,
            insert_change: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {region}.changes (stream, part, number, body) VALUES (?, ?, ?, ?) USING TTL ?",
                )
                .await?,
            changes: p
                .prepare(
                    Kind::Read,
                    "SELECT number, body FROM {region}.changes WHERE stream = ? AND part = ? AND number > ? LIMIT ?",
                )
                .await?,
            insert_mark: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {shared}.marks (region, stream, part, number, body) VALUES (?, ?, ?, ?, ?) USING TTL ?",
                )
                .await?,
            marks: p
                .prepare(
                    Kind::Read,
                    "SELECT number, body FROM {shared}.marks WHERE region = ? AND stream = ? AND part = ? AND number > ? LIMIT ?",
                )
                .await?,
            newest_stream: p
                .prepare(Kind::Read, "SELECT newest FROM {shared}.streams WHERE region = ? LIMIT 1")
                .await?,
            newest_stream_serially: p
                .prepare(Kind::SerialRead, "SELECT newest FROM {shared}.streams WHERE region = ? LIMIT 1")
                .await?,
            first_stream: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.streams SET newest = ?, state = 'open' WHERE region = ? AND stream = ? IF newest = null",
                )
                .await?,
            next_stream: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.streams SET newest = ?, state = 'open' WHERE region = ? AND stream = ? IF newest = ?",
                )
                .await?,
            stream: p
                .prepare(Kind::Read, "SELECT state FROM {shared}.streams WHERE region = ? AND stream = ?")
                .await?,
            streams: p
                .prepare(
                    Kind::Read,
                    "SELECT stream, newest, state, last_change, last_mark FROM {shared}.streams WHERE region = ?",
                )
                .await?,
            begin_closing: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.streams SET state = 'closing' WHERE region = ? AND stream = ? IF state = 'open'",
                )
                .await?,
            finish_closing: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.streams USING TTL ? SET state = 'closed', last_change = ?, last_mark = ? \
                     WHERE region = ? AND stream = ? IF state = 'closing'",
                )
                .await?,
            beat: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {shared}.heartbeats (region, stream, closed, beats, beat_at, newest, changes_written, marks_written, \
                     marks_taken, marks_settled, rules_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
                )
                .await?,
            heartbeats: p
                .prepare(
                    Kind::Read,
                    "SELECT stream, closed, beats, beat_at, newest, changes_written, marks_written, marks_taken, marks_settled, \
                     rules_version FROM {shared}.heartbeats WHERE region = ?",
                )
                .await?,
            regions: p.prepare(Kind::Read, "SELECT region, datacenter FROM {shared}.regions").await?,
            region: p
                .prepare(Kind::Read, "SELECT epoch, state, rules_version FROM {shared}.regions WHERE region = ?")
                .await?,
            raise_rules: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.regions SET rules_version = ? WHERE region = ? IF rules_version = ?",
                )
                .await?,
            finish_rebuild: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {shared}.regions SET state = 'ready' WHERE region = ? IF state = 'rebuilding' AND epoch = ?",
                )
                .await?,
            subjects: p
                .prepare(
                    Kind::Read,
                    "SELECT DISTINCT subject FROM {shared}.events WHERE token(subject) > ? AND token(subject) <= ? LIMIT ?",
                )
                .await?,
            progress: p
                .prepare(
                    Kind::Read,
                    "SELECT upto, counts, started_at, updated_at FROM {region}.progress WHERE task = ?",
                )
                .await?,
            save_progress: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {region}.progress (task, upto, counts, started_at, updated_at) VALUES (?, ?, ?, ?, ?)",
                )
                .await?,
            forget_progress: p.prepare(Kind::Write, "DELETE FROM {region}.progress WHERE task = ?").await?,
            first_mark: p
                .prepare(
                    Kind::Read,
                    "SELECT number FROM {shared}.marks WHERE region = ? AND stream = ? AND part = ? LIMIT 1",
                )
                .await?,
            clock: p.prepare(Kind::Read, "SELECT toTimestamp(now()) FROM system.local").await?,
            positions: p
                .prepare(Kind::Read, "SELECT stream, number, as_of, missed_at, reconciled_at FROM {region}.positions WHERE region = ?")
                .await?,
            save_position: p
                .prepare(
                    Kind::Write,
                    "INSERT INTO {region}.positions (region, stream, number, as_of) VALUES (?, ?, ?, ?)",
                )
                .await?,
            note_missed: p
                .prepare(
                    Kind::Write,
                    "UPDATE {region}.positions SET missed_at = ? WHERE region = ? AND stream = ?",
                )
                .await?,
            note_reconciled: p
                .prepare(
                    Kind::Write,
                    "UPDATE {region}.positions SET reconciled_at = ? WHERE region = ? AND stream = ?",
                )
                .await?,
            take_lease: p
                .prepare(
                    Kind::CompareAndSet,
                    "INSERT INTO {region}.leases (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?",
                )
                .await?,
            renew_lease: p
                .prepare(
                    Kind::CompareAndSet,
                    "UPDATE {region}.leases USING TTL ? SET owner = ? WHERE name = ? IF owner = ?",
                )
                .await?,
            give_back_lease: p
                .prepare(Kind::CompareAndSet, "DELETE FROM {region}.leases WHERE name = ? IF owner = ?")
                .await?,
        })
    }
}

struct Preparing<'a> {
    session: &'a Session,
    shared: &'a str,
    region: String,
    impatient: ExecutionProfileHandle,
}

impl Preparing<'_> {
    async fn prepare(&self, kind: Kind, text: &str) -> Result<PreparedStatement> {
        let text = text.replace("{shared}", self.shared).replace("{region}", &self.region);
        let mut statement = self.session.prepare(text).await.map_err(|error| {
            StoreError::Rejected(format!("the database does not take a statement of this program: {error}"))
        })?;
        statement.set_is_idempotent(!matches!(kind, Kind::CompareAndSet));
        match kind {
            Kind::Read | Kind::Write => statement.set_consistency(Consistency::LocalQuorum),
            Kind::Lookup => {
                statement.set_consistency(Consistency::LocalQuorum);
                statement.set_execution_profile_handle(Some(self.impatient.clone()));
            }
            Kind::CompareAndSet => {
                statement.set_consistency(Consistency::LocalQuorum);
                statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
                statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
            }
            Kind::SerialRead => statement.set_consistency(Consistency::LocalSerial),
        }
        Ok(statement)
    }
}

/// A time to live, in the seconds that CQL counts.
pub(super) fn ttl(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)
}
