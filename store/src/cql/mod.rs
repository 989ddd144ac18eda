//! The CQL engine, for ScyllaDB and Apache Cassandra: shared by any number of processes in any number of regions.
//!
//! A region writes and reads in its own datacenter. Only events, marks and heartbeats cross regions, by the database's
//! own replication; views, changes and positions stay in the region's own keyspace. The tables and the reason for each
//! key: `schema/cql`.
//!
//! - `writer.rs` puts the writer's steps in their order.
//! - `events/` appends and reads events.
//! - `views/` looks up views, and compares and sets them.
//! - `log/` is streams: segments of numbered rows, heartbeats, seals, the registry, the feed. Owns the open local
//!   streams, the watch on other writers' heartbeats, and the cached state of other regions.
//! - `marks/` follows marks. Owns leases, and the unsettled marks of sealed streams.
//! - `audit.rs` appends to the audit log and reads it.
//! - `bundle.rs` has denials and the offline bundle.
//! - `dead_letters.rs` keeps rows that were not understood.
//! - `resources.rs` has the index of FHIR resources.
//! - `retirement/` retires regions and takes them back. Owns the fence of a process whose region was retired.
//! - `jobs/` has full scans with their progress, and rebuild.
//! - `ddl/` has migrations, and the check of the schema at start.
//! - `region.rs` is the region's row: epoch, rebuild, rules. Owns the rules of this process.
//! - `statements/` has every statement, prepared; `session.rs`, `error.rs`, `outcome.rs` and `retry.rs` wrap the
//!   driver.

mod audit;
#[cfg(feature = "conformance")]
mod bench_driver;
mod bundle;
mod ddl;
mod dead_letters;
mod error;
mod events;
mod jobs;
mod log;
mod marks;
mod options;
mod outcome;
mod region;
mod resources;
mod retirement;
mod retry;
mod session;
mod statements;
mod views;
mod writer;

use std::fmt;
use std::sync::Arc;

use scylla::client::session::Session;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::{Result, StreamId};
use ddl::schema::{self, Identity};
use events::permits::SubjectPermits;
use log::heartbeat;
use log::local_stream::LocalStreams;
use log::other_regions::OtherRegions;
use log::seal::HeartbeatWatch;
use marks::leases::Leases;
use marks::unsettled::UnsettledMarks;
use region::FoldRules;
use retirement::fence::{self, Fence};
use statements::Statements;

#[cfg(feature = "conformance")]
pub use bench_driver::BenchDriver;
pub use ddl::migrate::{Step, is_migrated, migrate, migrate_alone};
pub use jobs::rebuild::begin_rebuild;
pub use options::CqlOptions;
pub use retirement::{RegionStatus, Rejoin, Retirement, RetirementState, begin_rejoin};

/// Requests of one call that are in flight together.
const CONCURRENT_REQUESTS: usize = 64;

/// Subjects whose event keys all appends of the process read at a time: some 50 MB if each has 2,000 events.
const KEY_READS: usize = 256;

/// A session with a region's nodes. Dropping it stops the heartbeats of its streams: other writers will seal them.
pub struct CqlStore {
    inner: Arc<Inner>,
    /// Heartbeats, and the look at the retirements. They end with the store.
    tasks: JoinSet<()>,
}

/// The part of a store that tasks share which outlive a cancelled call. Each piece of state is private to the file that
/// owns it.
struct Inner {
    session: Session,
    statements: Statements,
    options: CqlOptions,
    identity: Identity,
    /// Whether this process rebuilds the region: then an absent view is one not folded yet, and its stream may be open.
    rebuilds: bool,
    /// Wakes followers in this process after a publication; those in others poll.
    published: Notify,
    /// Hastens the next heartbeat after a publication.
    heartbeat_due: Arc<Notify>,
    /// Bounds the events' keys that appends read at a time.
    key_reads: Semaphore,
    subject_permits: SubjectPermits,
    local_streams: LocalStreams,
    heartbeat_watch: HeartbeatWatch,
    other_regions: OtherRegions,
    leases: Leases,
    unsettled_marks: UnsettledMarks,
    rules: FoldRules,
    fence: Fence,
}

/// A stream, named across regions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct RegionStream {
    region: String,
    stream: StreamId,
}

impl CqlStore {
    /// Connects and checks that the database fits this program.
    ///
    /// # Errors
    /// `Rejected` with the setting or keyspace and what to do; `Unavailable` if no contact point answers.
    pub async fn open(options: CqlOptions) -> Result<Arc<Self>> {
        Self::open_as(options, false).await
    }

    async fn open_as(options: CqlOptions, rebuilds: bool) -> Result<Arc<Self>> {
        schema::check_name(&options)?;
        let session = session::connect(&options).await?;
        if !options.rejoins {
            fence::check_at_start(&session, &options).await?;
        }
        let identity = schema::check(&session, &options).await?;
        let statements = Statements::prepare(&session, &options).await?;
        let inner = Arc::new(Inner {
            session,
            statements,
            options,
            identity,
            rebuilds,
            published: Notify::new(),
            heartbeat_due: Arc::default(),
            key_reads: Semaphore::new(KEY_READS),
            subject_permits: SubjectPermits::default(),
            local_streams: LocalStreams::default(),
            heartbeat_watch: HeartbeatWatch::default(),
            other_regions: OtherRegions::default(),
            leases: Leases::default(),
            unsettled_marks: UnsettledMarks::default(),
            rules: FoldRules::default(),
            fence: Fence::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(heartbeat::send_heartbeats(Arc::downgrade(&inner), inner.heartbeat_due.clone()));
        if !inner.options.rejoins {
            tasks.spawn(fence::watch(Arc::downgrade(&inner)));
        }
        Ok(Arc::new(Self { inner, tasks }))
    }
}

impl Drop for CqlStore {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

impl fmt::Debug for CqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CqlStore({})", self.inner.options.region)
    }
}

impl Inner {
    /// A stream of this region.
    fn own_region_stream(&self, stream: StreamId) -> RegionStream {
        RegionStream { region: self.options.region.clone(), stream }
    }

    /// Runs a statement on `table`, unless the region was retired.
    async fn execute(
        &self,
        table: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult> {
        self.fence.check()?;
        self.session.execute_unpaged(statement, values).await.map_err(|e| error::from_driver(table, &e))
    }

    /// Runs a statement that answers rows.
    async fn query(
        &self,
        table: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult> {
        outcome::rows(table, self.execute(table, statement, values).await?)
    }

    /// Runs a compare-and-set. `false`: its condition did not hold.
    async fn compare(
        &self,
        table: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool> {
        outcome::was_applied(table, self.execute(table, statement, values).await?)
    }
}
