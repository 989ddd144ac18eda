//! Every statement, prepared at start, with its consistency and what may be done when it fails.
//!
//! | kind | consistency | idempotent | when it fails |
//! |---|---|---|---|
//! | read | LOCAL_QUORUM: sees what was acknowledged, and does not go back (both servers repair what a quorum read found uneven first) | yes | once more on another replica |
//! | look-up | the same | yes | the same; also sent to another replica after `speculate_after` |
//! | write | LOCAL_QUORUM: what is acknowledged is on a majority | yes: a key is only ever written with the same bytes | once more on another replica |
//! | compare-and-set | LOCAL_SERIAL, committed at LOCAL_QUORUM: a row belongs to one region | no | never again by itself: its outcome is read serially |
//! | serial read | LOCAL_SERIAL: finishes a compare-and-set that is under way | yes | once more on another replica |

mod events;
mod log_segments;
mod regions;
mod streams;
mod tasks;
mod views;

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
use events::Events;
use log_segments::Rows;
use regions::Regions;
use streams::Streams;
use tasks::Tasks;
use views::ViewCache;

/// See the module.
pub(super) struct Statements {
    pub(super) views: ViewCache,
    pub(super) events: Events,
    pub(super) rows: Rows,
    pub(super) streams: Streams,
    pub(super) regions: Regions,
    pub(super) tasks: Tasks,
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
            views: ViewCache::prepare(&p).await?,
            events: Events::prepare(&p).await?,
            rows: Rows::prepare(&p).await?,
            streams: Streams::prepare(&p).await?,
            regions: Regions::prepare(&p).await?,
            tasks: Tasks::prepare(&p).await?,
        })
    }
}

/// What texts are prepared with: one function for each kind of the table above.
struct Preparing<'a> {
    session: &'a Session,
    /// The keyspace of all regions.
    shared: &'a str,
    /// The region's own.
    region: String,
    /// Also asks another replica.
    impatient: ExecutionProfileHandle,
}

impl Preparing<'_> {
    async fn read(&self, text: &str) -> Result<PreparedStatement> {
        self.prepare(text).await
    }

    async fn lookup(&self, text: &str) -> Result<PreparedStatement> {
        let mut statement = self.prepare(text).await?;
        statement.set_execution_profile_handle(Some(self.impatient.clone()));
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
        let mut statement = self.session.prepare(text).await.map_err(|error| {
            StoreError::Rejected(format!("the database does not take a statement of this program: {error}"))
        })?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        Ok(statement)
    }
}

/// A time to live, in the seconds that CQL counts.
pub(super) fn ttl(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)
}
