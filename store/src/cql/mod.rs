//! The CQL engine, for ScyllaDB and Apache Cassandra: shared by any number of processes in any number of regions.
//!
//! A region writes and reads in its own datacenter. Only events, marks and heartbeats cross regions, by the database's own replication; views,
//! changes and positions stay in the region's own keyspace. What the tables hold, and why each key: `schema/cql`.

#[cfg(feature = "conformance")]
mod bench_driver;
mod cas;
mod fault;
mod heartbeat;
mod local_stream;
mod log_segments;
mod marks;
mod migrate;
mod options;
mod positions;
mod reading;
mod rebuild;
mod region;
mod registry;
mod schema;
mod seal;
mod sequence;
mod session;
mod statements;
mod subject_scan;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use parking_lot::Mutex;
use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::{Result, StoreError, StreamId};
use local_stream::OwnStream;
use registry::Regions;
use schema::Identity;
use statements::Statements;

#[cfg(feature = "conformance")]
pub use bench_driver::BenchDriver;
pub use migrate::{Step, is_migrated, migrate};
pub use options::CqlOptions;
pub use rebuild::begin_rebuild;

/// A session with a region's nodes. Dropping it gives no sign of life any more: other writers will take its streams for dead.
pub struct CqlStore {
    inner: Arc<Inner>,
    /// Ends with the store.
    heartbeat: JoinSet<()>,
}

/// What the tasks share that go on when a caller has gone away.
struct Inner {
    session: Session,
    statements: Statements,
    options: CqlOptions,
    identity: Identity,
    /// Streams of this process that are open, as far as it knows.
    own: Mutex<BTreeMap<StreamId, Arc<OwnStream>>>,
    /// Held while a stream is opened: one at a time.
    opening: tokio::sync::Mutex<()>,
    /// Marks that [`crate::WriterStore::unsettled`] told and that are not settled yet.
    left: Mutex<BTreeMap<StreamId, Left>>,
    /// The signs of life of this region's other writers, and since when each has been the same.
    signs: Mutex<HashMap<StreamId, (i64, Instant)>>,
    /// Leases on other streams' marks, with the moment of the last renewal.
    leases: Mutex<HashMap<String, Instant>>,
    regions: Mutex<Regions>,
    /// The rules that this process folds by, as far as it said.
    rules: AtomicU32,
    /// Whether this process makes the region's keyspace again: then an absent row is just not made yet, and its stream may be open.
    rebuilds: bool,
    /// Who this process is to leases.
    owner: [u8; 16],
    /// Wakes followers in this process; those in others poll.
    woken: Notify,
}

/// Marks of a closed stream that are still to be folded here.
struct Left {
    last: u64,
    numbers: BTreeSet<u64>,
}

/// A stream of some region.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct StreamOf {
    region: String,
    stream: StreamId,
}

impl CqlStore {
    /// Connects and checks that the database has what this program needs.
    ///
    /// # Errors
    /// `Rejected` with the setting or keyspace and what to do; `Unavailable` if no contact point answers.
    pub async fn open(options: CqlOptions) -> Result<Arc<Self>> {
        Self::open_as(options, false).await
    }

    async fn open_as(options: CqlOptions, rebuilds: bool) -> Result<Arc<Self>> {
        schema::check_name(&options)?;
        let session = session::connect(&options).await?;
        let identity = schema::check(&session, &options).await?;
        let statements = Statements::prepare(&session, &options).await?;
        let inner = Arc::new(Inner {
            session,
            statements,
            options,
            identity,
            own: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            left: Mutex::default(),
            signs: Mutex::default(),
            leases: Mutex::default(),
            regions: Mutex::default(),
            rules: AtomicU32::new(0),
            rebuilds,
            owner: rand::random(),
            woken: Notify::new(),
        });
        let mut heartbeat = JoinSet::new();
        heartbeat.spawn(heartbeat::beat_for_ever(Arc::downgrade(&inner)));
        Ok(Arc::new(Self { inner, heartbeat }))
    }
}

impl Drop for CqlStore {
    fn drop(&mut self) {
        self.heartbeat.abort_all();
    }
}

impl fmt::Debug for CqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CqlStore({})", self.inner.options.region)
    }
}

impl Inner {
    /// A stream of this region.
    fn ours(&self, stream: StreamId) -> StreamOf {
        StreamOf { region: self.options.region.clone(), stream }
    }
}

/// Whether a compare-and-set was applied: the first column. ScyllaDB sends the row along in any case, Cassandra only if it was not.
fn applied(row: &Row) -> Option<bool> {
    row.columns.first()?.as_ref().and_then(CqlValue::as_boolean)
}

/// The outcome of a compare-and-set.
fn was_applied(table: &'static str, result: QueryResult) -> Result<bool> {
    let corrupt = || StoreError::Corrupt { table, what: "the outcome of a compare-and-set".into() };
    let row = result.into_rows_result().map_err(|_| corrupt())?.first_row::<Row>().map_err(|_| corrupt())?;
    applied(&row).ok_or_else(corrupt)
}
