//! What is known here of each region.

use std::collections::BTreeSet;

use scylla::client::session::Session;
use yima_schema::time::Time;

use super::Retirement;
use crate::cql::CqlStore;
use crate::cql::log::other_regions::region_as_of;
use crate::{Result, StreamId};

/// A registered region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionStatus {
    /// Its name.
    pub name: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Whether it is this region.
    pub is_own: bool,
    /// Its retirement, if it was ever retired.
    pub retirement: Option<Retirement>,
    /// The nodes of its datacenter: how many this process is connected to, of how many.
    pub nodes: (usize, usize),
    /// Its newest heartbeat that has arrived here.
    pub heard_at: Option<Time>,
    /// Everything that it acknowledged before this moment is folded and published here; `None` if unknown.
    pub followed_to: Option<Time>,
}

impl RegionStatus {
    /// Whether it is retired, or not back yet.
    pub fn is_out_of_service(&self) -> bool {
        self.retirement.as_ref().is_some_and(Retirement::is_out_of_service)
    }
}

impl CqlStore {
    /// Every registered region, in the order of their names.
    ///
    /// # Errors
    /// The store's, of this region.
    pub async fn regions(&self) -> Result<Vec<RegionStatus>> {
        let inner = &*self.inner;
        let retirements = inner.retirements().await?;
        let mut regions = Vec::new();
        for (name, datacenter) in inner.registered_regions().await? {
            let retirement = retirements.iter().find(|row| row.region == name).cloned();
            let is_own = name == inner.options.region;
            let (heartbeats, positions) = inner.heartbeats_and_positions(&name).await?;
            let first_stream = retirement.as_ref().map_or(StreamId(0), |row| row.first_stream);
            let kept = retirement.as_ref().filter(|row| row.is_out_of_service()).and_then(|row| row.followed_to);
            let followed_to = if is_own { None } else { region_as_of(&heartbeats, &positions, first_stream).or(kept) };
            regions.push(RegionStatus {
                nodes: nodes_of(&inner.session, &datacenter),
                heard_at: heartbeats.values().map(|beat| beat.at).max(),
                name,
                datacenter,
                is_own,
                retirement,
                followed_to,
            });
        }
        regions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(regions)
    }

    /// The retired regions, each with the number of nodes of its datacenter that this process is connected to: a region
    /// with any has come back.
    ///
    /// # Errors
    /// The store's.
    pub async fn retired_regions(&self) -> Result<Vec<(String, usize)>> {
        let inner = &*self.inner;
        let retired: BTreeSet<String> = inner
            .retirements()
            .await?
            .into_iter()
            .filter(Retirement::is_out_of_service)
            .map(|row| row.region)
            .collect();
        if retired.is_empty() {
            return Ok(Vec::new());
        }
        let regions = inner.registered_regions().await?;
        let up = |(name, datacenter): (String, String)| (name, nodes_of(&inner.session, &datacenter).0);
        Ok(regions.into_iter().filter(|(name, _)| retired.contains(name)).map(up).collect())
    }
}

/// The nodes of a datacenter: how many are connected, of how many.
pub(super) fn nodes_of(session: &Session, datacenter: &str) -> (usize, usize) {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter().filter(|node| node.datacenter.as_deref() == Some(datacenter));
    nodes.fold((0, 0), |(up, all), node| (up + usize::from(node.is_connected()), all + 1))
}
