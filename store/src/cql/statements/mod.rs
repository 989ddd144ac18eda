//! Every statement, prepared at start, with its consistency and its behaviour after a failure.
//!
//! - **read** (idempotent): LOCAL_QUORUM. It sees every acknowledged write and does not go back: both servers first
//!   repair what a quorum read found uneven. After a failure once more on another replica.
//! - **hedged read** (idempotent): the same; also sent to another replica after `speculate_after`. Lookups, for which
//!   citizens wait, and polls of the feed, which keep all answers fresh: few, so that they do not add to an overload.
//! - **write** (idempotent: a key is only ever written with the same bytes): LOCAL_QUORUM, so an acknowledged write is
//!   on a majority. After a failure once more on another replica.
//! - **compare-and-set** (not idempotent): LOCAL_SERIAL, committed at LOCAL_QUORUM: a row belongs to one region. No
//!   retry: an unknown outcome is read serially.
//! - **serial read** (idempotent): LOCAL_SERIAL: finishes a compare-and-set that is in flight. After a failure once
//!   more on another replica.
//!
//! Every idempotent statement is also sent to another replica after half of the request timeout.

mod audit;
mod bundle;
mod dead_letters;
mod events;
mod jobs;
mod log_segments;
mod regions;
mod resources;
mod streams;
mod views;

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::error::from_prepare;
use super::options::CqlOptions;
use crate::Result;
use audit::Audit;
use bundle::Bundle;
use dead_letters::DeadLetters;
use events::Events;
use jobs::Jobs;
use log_segments::Segments;
use regions::Regions;
use resources::Resources;
use streams::Streams;
use views::Views;

/// All statements, by the tables they are about.
pub(super) struct Statements {
    pub(super) views: Views,
    pub(super) events: Events,
    pub(super) segments: Segments,
    pub(super) streams: Streams,
    pub(super) regions: Regions,
    pub(super) jobs: Jobs,
    pub(super) audit: Audit,
    pub(super) dead_letters: DeadLetters,
    pub(super) resources: Resources,
    pub(super) bundle: Bundle,
}

impl Statements {
    /// Prepares all of them.
    pub(super) async fn prepare(session: &Session, options: &CqlOptions) -> Result<Self> {
        let profile = session.get_default_execution_profile_handle().pointee_to_builder();
        let speculation =
            SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: options.speculate_after };
        let hedged = profile.speculative_execution_policy(Some(Arc::new(speculation))).build().into_handle();
        let p = Preparing { session, shared: &options.keyspace, region: options.region_keyspace(), hedged };
        Ok(Self {
            views: Views::prepare(&p).await?,
            events: Events::prepare(&p).await?,
            segments: Segments::prepare(&p).await?,
            streams: Streams::prepare(&p).await?,
            regions: Regions::prepare(&p).await?,
            jobs: Jobs::prepare(&p).await?,
            audit: Audit::prepare(&p).await?,
            dead_letters: DeadLetters::prepare(&p).await?,
            resources: Resources::prepare(&p).await?,
            bundle: Bundle::prepare(&p).await?,
        })
    }
}

/// Prepares statements: one function for each kind in the list at the top of this file.
struct Preparing<'a> {
    session: &'a Session,
    /// The keyspace of all regions.
    shared: &'a str,
    /// The region's own keyspace.
    region: String,
    /// Also sends a slow request to another replica.
    hedged: ExecutionProfileHandle,
}

impl Preparing<'_> {
    async fn read(&self, text: &str) -> Result<PreparedStatement> {
        self.prepare(text).await
    }

    async fn hedged_read(&self, text: &str) -> Result<PreparedStatement> {
        let mut statement = self.prepare(text).await?;
        statement.set_execution_profile_handle(Some(self.hedged.clone()));
        Ok(statement)
    }

    async fn write(&self, text: &str) -> Result<PreparedStatement> {
        self.prepare(text).await
    }

    async fn compare_and_set(&self, text: &str) -> Result<PreparedStatement> {
        let mut statement = self.prepare(text).await?;
        statement.set_is_idempotent(false);
        statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        Ok(statement)
    }

    async fn read_serially(&self, text: &str) -> Result<PreparedStatement> {
        let mut statement = self.prepare(text).await?;
        statement.set_consistency(Consistency::LocalSerial);
        Ok(statement)
    }

    /// At LOCAL_QUORUM, idempotent.
    async fn prepare(&self, text: &str) -> Result<PreparedStatement> {
        let text = text.replace("{shared}", self.shared).replace("{region}", &self.region);
        let prepared = self.session.prepare(text).await;
        let mut statement = prepared.map_err(|e| from_prepare("preparing the statements", &e))?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        Ok(statement)
    }
}

/// A time to live, in the seconds that CQL counts.
pub(super) fn ttl(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)
}
