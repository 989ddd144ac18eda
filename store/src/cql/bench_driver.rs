//! The driver with this engine's session and statements and nothing around them: the baseline of benchmarks.

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::log::log_segments;
use super::options::CqlOptions;
use super::statements::Statements;
use super::{events, session};
use crate::Result;

/// The statements that an event and a lookup take; `statements/` has their texts.
pub struct BenchDriver {
    /// Connected as [`super::CqlStore`] is.
    pub session: Session,
    /// subject, limit → agency, id, revision, hash
    pub event_keys: PreparedStatement,
    /// region, stream, part, number, body, seconds to live
    pub insert_mark: PreparedStatement,
    /// region, stream → state
    pub stream: PreparedStatement,
    /// subject, agency, id, revision, hash, event
    pub insert_event: PreparedStatement,
    /// subject → version, body
    pub lookup: PreparedStatement,
    /// subject, limit → event
    pub events: PreparedStatement,
    /// subject, version, body: compared and set
    pub first_view: PreparedStatement,
    /// stream, part, number, body, seconds to live
    pub insert_change: PreparedStatement,
}

impl BenchDriver {
    /// The limit with which the engine reads a subject's events.
    pub const READ_EVENTS: i32 = events::READ_EVENTS;

    /// Connects and prepares.
    ///
    /// # Errors
    /// As [`super::CqlStore::open`].
    pub async fn open(options: &CqlOptions) -> Result<Self> {
        let session = session::connect(options).await?;
        let prepared = Statements::prepare(&session, options).await?;
        Ok(Self {
            session,
            event_keys: prepared.events.event_keys,
            insert_mark: prepared.segments.insert_mark,
            stream: prepared.streams.stream,
            insert_event: prepared.events.insert_event,
            lookup: prepared.views.lookup,
            events: prepared.events.events,
            first_view: prepared.views.first_view,
            insert_change: prepared.segments.insert_change,
        })
    }

    /// The segment of a mark or change, by its number: the column `part`.
    pub fn part(number: u64) -> i64 {
        log_segments::segment(number) as i64
    }
}
