//! Retirements: regions that were given up for good, and their return. `yima region` writes them; every process reads
//! them.
//!
//! - `fence.rs` stops a process whose own region was retired.
//! - `retire.rs` and `rejoin.rs` are the steps of the commands; `status.rs` is what `yima region list` prints.
//!
//! A row is written plainly, in each datacenter that keeps replicas of the shared keyspace: the retired region's own
//! cannot take part, so neither a compare-and-set nor a quorum of all replicas is possible. The newest row counts.

pub(in crate::cql) mod fence;
mod rejoin;
mod retire;
mod status;

use futures::future::join_all;
use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use scylla::value::CqlTimestamp;
use yima_schema::time::Time;

use super::ddl::schema::replication;
use super::error::{from_driver, from_prepare};
use super::outcome::rows;
use super::session::within;
use super::{CqlOptions, Inner};
use crate::{Result, StoreError, StreamId};

pub use rejoin::{Rejoin, begin_rejoin};
pub use status::RegionStatus;

const TABLE: &str = "retirements";

/// A row of `retirements`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retirement {
    /// The region that was retired.
    pub region: String,
    /// How far its retirement, or its return, is.
    pub state: RetirementState,
    /// Since when.
    pub at: Time,
    /// The region whose command wrote this.
    pub by: String,
    /// Every event that it had acknowledged before this moment is in the region that retired it; `None` if unknown.
    pub followed_to: Option<Time>,
    /// Replicas that its datacenter had of the shared keyspace.
    pub replicas: u32,
    /// The first stream after its return.
    pub first_stream: StreamId,
    /// Its epoch when its rejoin began.
    pub epoch: i32,
}

/// The state of a retirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetirementState {
    /// Intended: nothing has changed for the region yet.
    Retiring,
    /// Its processes stop, and it is not followed.
    Retired,
    /// As retired; it is being rebuilt.
    Rejoining,
    /// Active again.
    Rejoined,
}

impl RetirementState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Rejoining => "rejoining",
            Self::Rejoined => "rejoined",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Retiring, Self::Retired, Self::Rejoining, Self::Rejoined].into_iter().find(|s| s.as_str() == text)
    }
}

impl Retirement {
    /// Whether the region serves no one and is followed by no one.
    pub fn is_out_of_service(&self) -> bool {
        matches!(self.state, RetirementState::Retired | RetirementState::Rejoining)
    }

    /// The refusal of everything that a process of the retired region would do.
    fn refusal(&self) -> String {
        let Self { region, at, by, .. } = self;
        format!(
            "the region {region} was retired at {at} by {by}: run `yima region rejoin {region}` here to bring it back"
        )
    }
}

/// The rows, as a datacenter has them.
pub(in crate::cql) async fn read(session: &Session, keyspace: &str, datacenter: &str) -> Result<Vec<Retirement>> {
    type Columns = (
        String,
        Option<String>,
        Option<CqlTimestamp>,
        Option<String>,
        Option<CqlTimestamp>,
        Option<i32>,
        Option<i32>,
        Option<i32>,
    );
    let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
    let mut statement = Statement::new(format!(
        "SELECT region, state, at, by_region, followed_to, replicas, first_stream, epoch FROM {keyspace}.{TABLE}"
    ));
    statement.set_consistency(Consistency::LocalQuorum);
    statement.set_is_idempotent(true);
    statement.set_load_balancing_policy(Some(within(datacenter).build()));
    let found = session.query_unpaged(statement, ()).await.map_err(|e| from_driver(TABLE, &e))?;
    let mut retirements = Vec::new();
    for row in rows(TABLE, found)?.rows::<Columns>().map_err(|_| corrupt())? {
        let (region, state, at, by, followed_to, replicas, first_stream, epoch) = row.map_err(|_| corrupt())?;
        let time = |at: CqlTimestamp| Time::from_millis(at.0);
        retirements.push(Retirement {
            region,
            state: state.as_deref().and_then(RetirementState::parse).ok_or_else(corrupt)?,
            at: at.map(time).ok_or_else(corrupt)?,
            by: by.unwrap_or_default(),
            followed_to: followed_to.map(time),
            replicas: replicas.unwrap_or(0).unsigned_abs(),
            first_stream: StreamId(first_stream.unwrap_or(0).unsigned_abs()),
            epoch: epoch.unwrap_or(0),
        });
    }
    Ok(retirements)
}

/// The newest row about this region in any datacenter that answers.
///
/// # Errors
/// No datacenter answers.
async fn of_own_region(session: &Session, options: &CqlOptions) -> Result<Option<Retirement>> {
    let datacenters = datacenters(session, options);
    let answers = join_all(datacenters.iter().map(|name| read(session, &options.keyspace, name))).await;
    let (mut newest, mut failed): (Option<Retirement>, Vec<StoreError>) = (None, Vec::new());
    for answer in answers {
        match answer {
            Ok(rows) => {
                let own = rows.into_iter().filter(|row| row.region == options.region);
                newest = newest.into_iter().chain(own).max_by_key(|row| row.at);
            }
            Err(error) => failed.push(error),
        }
    }
    match failed.pop() {
        Some(error) if failed.len() + 1 == datacenters.len() => Err(error),
        Some(_) | None => Ok(newest),
    }
}

/// The datacenters that keep replicas of the shared keyspace, and this region's own, which a retirement takes from
/// them. If replicas are not given by numbers: all datacenters.
fn datacenters(session: &Session, options: &CqlOptions) -> Vec<String> {
    let replicas = replication(session, &options.keyspace).unwrap_or_default();
    let mut names: Vec<String> = replicas.into_keys().collect();
    if names.is_empty() {
        let state = session.get_cluster_state();
        names = state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    }
    names.push(options.datacenter.clone());
    names.sort_unstable();
    names.dedup();
    names
}

/// Writes a row in each of these datacenters.
///
/// # Errors
/// The first of a datacenter that did not take it: others may have.
async fn record(session: &Session, keyspace: &str, datacenters: &[String], row: &Retirement) -> Result<()> {
    let text = format!(
        "INSERT INTO {keyspace}.{TABLE} (region, state, at, by_region, followed_to, replicas, first_stream, epoch) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    );
    for datacenter in datacenters {
        let mut statement = session.prepare(text.as_str()).await.map_err(|e| from_prepare(TABLE, &e))?;
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_is_idempotent(true);
        statement.set_load_balancing_policy(Some(within(datacenter).build()));
        let values = (
            row.region.as_str(),
            row.state.as_str(),
            CqlTimestamp(row.at.as_millis()),
            row.by.as_str(),
            row.followed_to.map(|at| CqlTimestamp(at.as_millis())),
            row.replicas as i32,
            row.first_stream.0 as i32,
            row.epoch,
        );
        session.execute_unpaged(&statement, values).await.map_err(|e| from_driver(TABLE, &e))?;
    }
    Ok(())
}

impl Inner {
    /// The retirements, as this region's datacenter has them.
    pub(in crate::cql) async fn retirements(&self) -> Result<Vec<Retirement>> {
        read(&self.session, &self.options.keyspace, &self.options.datacenter).await
    }
}
