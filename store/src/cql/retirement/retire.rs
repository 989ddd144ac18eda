//! The steps of `yima region retire`, each harmless when it is repeated. Nobody is fenced before the third.
//!
//! 1. The row says `retiring`: how many replicas the lost datacenter had, and up to which moment it was followed.
//! 2. Its datacenter keeps no replicas of the shared keyspace any more: its nodes refuse LOCAL_QUORUM as soon as they
//!    learn the schema. On ScyllaDB this needs a majority of all nodes: of two regions that are cut from each other only
//!    the one with the arbiter gets further.
//! 3. The row says `retired`: processes of the region stop serving as soon as they reach one datacenter that has the
//!    row, and its marks are followed no more.
//! 4. The region's own keyspace is dropped. A rejoin makes it again from events.

use super::status::nodes_of;
use super::{Retirement, RetirementState, datacenters, record};
use crate::cql::CqlStore;
use crate::cql::ddl::migrate::connect_for_changes;
use crate::cql::ddl::replicas::change_replicas;
use crate::cql::ddl::schema::replication;
use crate::cql::ddl::schema_changes::SchemaChanges;
use crate::cql::log::other_regions::region_as_of;
use crate::{Result, StoreError, StreamId, failpoint};

impl CqlStore {
    /// Checks that a region gives no sign of life: none of its nodes is connected, and none of its heartbeats arrives
    /// here for as long as a writer may be silent.
    ///
    /// # Errors
    /// `Rejected`, with the sign.
    pub async fn check_is_silent(&self, region: &str) -> Result<()> {
        let inner = &*self.inner;
        let datacenter = self.datacenter_to_retire(region).await?;
        let check_nodes = || match nodes_of(&inner.session, &datacenter) {
            (0, _) => Ok(()),
            (up, all) => Err(StoreError::Rejected(format!(
                "{up} of {all} nodes of datacenter {datacenter} answer: the region {region} is not lost"
            ))),
        };
        check_nodes()?;
        let before = inner.heartbeats(region).await?;
        tokio::time::sleep(inner.options.dead_after + inner.options.beat_every).await;
        let after = inner.heartbeats(region).await?;
        if let Some((stream, beat)) =
            after.iter().find(|(stream, beat)| before.get(stream).map(|b| b.beats) != Some(beat.beats))
        {
            return Err(StoreError::Rejected(format!(
                "a writer of the region {region} sends heartbeats (stream {}, at {}): it is not lost",
                stream.0, beat.at
            )));
        }
        check_nodes()
    }

    /// Step 1. A region that is retired already keeps its row.
    ///
    /// # Errors
    /// `Rejected` if there is no such region, or it is this one. The store's, of every region but the retired one.
    pub async fn begin_retirement(&self, region: &str) -> Result<Retirement> {
        let inner = &*self.inner;
        let datacenter = self.datacenter_to_retire(region).await?;
        let known = inner.retirements().await?.into_iter().find(|row| row.region == region);
        if let Some(known) = &known
            && known.is_out_of_service()
        {
            return Ok(known.clone());
        }
        let first_stream = known.as_ref().map_or(StreamId(0), |row| row.first_stream);
        let (heartbeats, positions) = inner.heartbeats_and_positions(region).await?;
        // A run that was interrupted may have taken replicas already.
        let replicas = replication(&inner.session, &inner.options.keyspace).unwrap_or_default();
        let replicas = replicas.get(&datacenter).copied().unwrap_or(0) as u32;
        let before = known.filter(|row| row.state == RetirementState::Retiring).map_or(0, |row| row.replicas);
        let retirement = Retirement {
            region: region.to_owned(),
            state: RetirementState::Retiring,
            at: (inner.options.clock)(),
            by: inner.options.region.clone(),
            followed_to: region_as_of(&heartbeats, &positions, first_stream),
            replicas: replicas.max(before),
            first_stream,
            epoch: 0,
        };
        self.record_elsewhere(&datacenter, &retirement).await?;
        failpoint::pass("retiring_recorded")?;
        Ok(retirement)
    }

    /// Steps 2 to 4. `false`: the replicas of the shared keyspace are not given by numbers, and were left as they are.
    ///
    /// # Errors
    /// The store's, of every region but the retired one; `Rejected` by the database.
    pub async fn finish_retirement(&self, retirement: &Retirement) -> Result<(Retirement, bool)> {
        let inner = &*self.inner;
        let (region, options) = (&retirement.region, &inner.options);
        let datacenter = self.datacenter_to_retire(region).await?;
        let session = connect_for_changes(options).await?;
        let by_numbers = replication(&session, &options.keyspace).is_some_and(|replicas| !replicas.is_empty());
        if by_numbers {
            change_replicas(&session, &options.keyspace, &datacenter, 0).await?;
        }
        failpoint::pass("replicas_removed")?;
        let mut retired = retirement.clone();
        if !retired.is_out_of_service() {
            (retired.state, retired.at) = (RetirementState::Retired, (options.clock)());
        }
        // Also a row that is there: one of the datacenters may have missed it.
        self.record_elsewhere(&datacenter, &retired).await?;
        failpoint::pass("retired_recorded")?;
        let keyspace = format!("{}_{region}", options.keyspace);
        SchemaChanges::new(&session)?.run(&format!("DROP KEYSPACE IF EXISTS {keyspace}")).await?;
        failpoint::pass("keyspace_dropped")?;
        Ok((retired, by_numbers))
    }

    async fn record_elsewhere(&self, lost: &str, row: &Retirement) -> Result<()> {
        let Self { inner, .. } = self;
        let mut datacenters = datacenters(&inner.session, &inner.options);
        datacenters.retain(|name| name != lost);
        record(&inner.session, &inner.options.keyspace, &datacenters, row).await
    }

    async fn datacenter_to_retire(&self, region: &str) -> Result<String> {
        let Self { inner, .. } = self;
        if region == inner.options.region {
            return Err(StoreError::Rejected(format!(
                "{region} is the region that this is run in: run it in a region that stays"
            )));
        }
        let regions = inner.registered_regions().await?;
        let found = regions.into_iter().find(|(name, _)| name == region).map(|(_, datacenter)| datacenter);
        found.ok_or_else(|| StoreError::Rejected(format!("the region {region} is not registered")))
    }
}
