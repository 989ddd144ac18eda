//! The registry of streams, and their heartbeats.

use scylla::statement::prepared::PreparedStatement;

use super::Preparing;
use crate::Result;

const BEAT: &str = "INSERT INTO {shared}.heartbeats (region, stream, closed, beats, beat_at, newest, changes_written, \
                    marks_written, marks_taken, marks_settled, rules_version) \
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";

/// Prepared statements on streams and heartbeats.
pub(in crate::cql) struct Streams {
    pub(in crate::cql) newest_stream: PreparedStatement,
    pub(in crate::cql) newest_stream_serially: PreparedStatement,
    pub(in crate::cql) first_stream: PreparedStatement,
    pub(in crate::cql) next_stream: PreparedStatement,
    pub(in crate::cql) stream: PreparedStatement,
    pub(in crate::cql) streams: PreparedStatement,
    pub(in crate::cql) begin_closing: PreparedStatement,
    pub(in crate::cql) finish_closing: PreparedStatement,
    /// Of an open stream: the number of the heartbeat is the timestamp, or one of a node whose clock is ahead would hide
    /// those after it.
    pub(in crate::cql) beat: PreparedStatement,
    /// Of a sealed stream: any node's clock is above those numbers, so no other heartbeat hides it.
    pub(in crate::cql) last_beat: PreparedStatement,
    pub(in crate::cql) heartbeats: PreparedStatement,
    pub(in crate::cql) clock: PreparedStatement,
}

impl Streams {
    pub(super) async fn prepare(p: &Preparing<'_>) -> Result<Self> {
        Ok(Self {
            newest_stream: p.read("SELECT newest FROM {shared}.streams WHERE region = ? LIMIT 1").await?,
            newest_stream_serially: p
                .read_serially("SELECT newest FROM {shared}.streams WHERE region = ? LIMIT 1")
                .await?,
            first_stream: p
                .compare_and_set(
                    "UPDATE {shared}.streams SET newest = ?, state = 'open' WHERE region = ? AND stream = ? \
                     IF newest = null",
                )
                .await?,
            next_stream: p
                .compare_and_set(
                    "UPDATE {shared}.streams SET newest = ?, state = 'open' WHERE region = ? AND stream = ? \
                     IF newest = ?",
                )
                .await?,
            stream: p.read("SELECT state FROM {shared}.streams WHERE region = ? AND stream = ?").await?,
            streams: p
                .hedged_read(
                    "SELECT stream, newest, state, last_change, last_mark FROM {shared}.streams WHERE region = ?",
                )
                .await?,
            begin_closing: p
                .compare_and_set(
                    "UPDATE {shared}.streams SET state = 'closing' WHERE region = ? AND stream = ? \
                     IF state = 'open'",
                )
                .await?,
            finish_closing: p
                .compare_and_set(
                    "UPDATE {shared}.streams USING TTL ? SET state = 'closed', last_change = ?, last_mark = ? \
                     WHERE region = ? AND stream = ? IF state = 'closing'",
                )
                .await?,
            beat: p.write(&format!("{BEAT} AND TIMESTAMP ?")).await?,
            last_beat: p.write(BEAT).await?,
            heartbeats: p
                .hedged_read(
                    "SELECT stream, closed, beats, beat_at, newest, changes_written, marks_written, marks_taken, \
                     marks_settled, rules_version FROM {shared}.heartbeats WHERE region = ?",
                )
                .await?,
            clock: p.hedged_read("SELECT toTimestamp(now()) FROM system.local").await?,
        })
    }
}
