//! The steps of `yima region rejoin`, run in the returning region. Until the last it stays fenced and is not followed.
//!
//! 1. Its datacenter keeps replicas of the shared keyspace again, with what is on its disks.
//! 2. The row says `rejoining`, with the region's epoch and its next stream.
//! 3. Its keyspace is rebuilt, in the next epoch.
//! 4. It is reconciled with the other regions: events that only one of them has are copied, and marked in a new stream.
//! 5. The row says `rejoined`.

use scylla::client::session::Session;
use scylla::statement::Statement;
use yima_schema::time::Time;

use super::{Retirement, RetirementState, datacenters, of_own_region, record};
use crate::cql::ddl::migrate::{connect_for_changes, migrate_shared};
use crate::cql::ddl::region_row::{RegionRow, region_row};
use crate::cql::ddl::replicas::change_replicas;
use crate::cql::ddl::schema::{check_name, replication};
use crate::cql::error::from_driver;
use crate::cql::outcome::rows;
use crate::cql::session::within;
use crate::cql::{CqlOptions, CqlStore};
use crate::{Result, StoreError, StreamId, failpoint};

/// A rejoin after its second step.
pub struct Rejoin {
    retirement: Retirement,
    /// Whether the third step is done.
    pub rebuilt: bool,
}

/// Steps 1 and 2; `None` if the region of these options is not retired.
///
/// # Errors
/// `Rejected`, with what to do: its retirement is not finished; its datacenter lacks what the others have. The store's,
/// of any region.
pub async fn begin_rejoin(options: &CqlOptions, now: Time) -> Result<Option<Rejoin>> {
    check_name(options)?;
    let session = connect_for_changes(options).await?;
    let Some(mut retirement) = of_own_region(&session, options).await? else { return Ok(None) };
    match retirement.state {
        RetirementState::Rejoined => return Ok(None),
        RetirementState::Retiring => {
            let Retirement { region, by, .. } = retirement;
            return Err(StoreError::Rejected(format!(
                "the retirement of {region} has not finished: run `yima region retire` in {by} again first"
            )));
        }
        RetirementState::Retired | RetirementState::Rejoining => {}
    }
    // Otherwise the operator has given it replicas.
    if replication(&session, &options.keyspace).is_some_and(|replicas| !replicas.is_empty()) {
        let replicas = retirement.replicas.max(options.min_replicas).max(1);
        change_replicas(&session, &options.keyspace, &options.datacenter, replicas as usize).await?;
    }
    failpoint::pass("replicas_added")?;
    let others: Vec<String> =
        datacenters(&session, options).into_iter().filter(|name| *name != options.datacenter).collect();
    let row = check_registry(&session, options, &others).await?;
    migrate_shared(&session, options, now).await?;
    if retirement.state == RetirementState::Retired {
        retirement.first_stream = StreamId(newest_stream(&session, options, &options.datacenter).await? + 1);
        (retirement.state, retirement.at) = (RetirementState::Rejoining, now);
        retirement.epoch = row.epoch;
    }
    // Also a row that is there: one of the datacenters may have missed it.
    record(&session, &options.keyspace, &datacenters(&session, options), &retirement).await?;
    failpoint::pass("rejoining_recorded")?;
    let rebuilt = row.epoch > retirement.epoch && !row.is_rebuilding();
    Ok(Some(Rejoin { retirement, rebuilt }))
}

impl CqlStore {
    /// Step 5.
    ///
    /// # Errors
    /// The store's, of any region.
    pub async fn finish_rejoin(&self, rejoin: Rejoin) -> Result<()> {
        let Self { inner, .. } = self;
        let row = Retirement {
            state: RetirementState::Rejoined,
            at: (inner.options.clock)(),
            by: inner.options.region.clone(),
            ..rejoin.retirement
        };
        record(&inner.session, &inner.options.keyspace, &datacenters(&inner.session, &inner.options), &row).await
    }
}

/// Checks that this datacenter has the region's row and its newest stream: with replaced disks it has neither, and
/// numbers of streams and versions would be given a second time.
async fn check_registry(session: &Session, options: &CqlOptions, others: &[String]) -> Result<RegionRow> {
    let row = region_row(session, &options.keyspace, &options.region).await?;
    let newest = newest_stream(session, options, &options.datacenter).await?;
    let mut elsewhere = 0;
    for datacenter in others {
        elsewhere = elsewhere.max(newest_stream(session, options, datacenter).await?);
    }
    match row {
        Some(row) if newest >= elsewhere => {
            row.check(options)?;
            Ok(row)
        }
        Some(_) | None => Err(StoreError::Rejected(format!(
            "datacenter {} lacks rows that the others have (were its disks replaced?): stream the keyspace {} to each \
             of its nodes (`nodetool rebuild`), or repair it, then run this again",
            options.datacenter, options.keyspace
        ))),
    }
}

/// The region's newest stream, by the registry and by heartbeats of a datacenter; 0 before the first.
async fn newest_stream(session: &Session, options: &CqlOptions, datacenter: &str) -> Result<u32> {
    let (keyspace, region) = (&options.keyspace, &options.region);
    let mut newest = 0;
    for table in ["streams", "heartbeats"] {
        let corrupt = || StoreError::Corrupt { table: "streams", what: "the newest stream".into() };
        // A region's name has letters, digits and _ only.
        let text = format!("SELECT newest FROM {keyspace}.{table} WHERE region = '{region}'");
        let mut statement = Statement::new(text);
        statement.set_load_balancing_policy(Some(within(datacenter).build()));
        let found = session.query_unpaged(statement, ()).await.map_err(|e| from_driver("streams", &e))?;
        for row in rows("streams", found)?.rows::<(Option<i32>,)>().map_err(|_| corrupt())? {
            newest = newest.max(row.map_err(|_| corrupt())?.0.unwrap_or(0).unsigned_abs());
        }
    }
    Ok(newest)
}
