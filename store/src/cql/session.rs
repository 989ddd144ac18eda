//! A session with the nodes of one datacenter.
//!
//! Token-aware and datacenter-local: a request goes to a replica of its partition in `store.cql.datacenter`, and never to another
//! datacenter, where LOCAL_QUORUM would mean another quorum. What happens to a request that fails is chosen by statement, in
//! `statements/`. Timestamps are the servers' own (the driver sends none).

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::{Session, TlsContext};
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{no_answer, no_session};
use super::options::CqlOptions;
use crate::{Result, StoreError};

/// For one connection to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// For the session: a node that accepts and then says nothing would be waited for by the driver for a minute.
const SESSION: Duration = Duration::from_secs(12);

/// Connects.
///
/// # Errors
/// `Rejected` with the setting that is wrong; `Unavailable` if no contact point answers.
pub(super) async fn connect(options: &CqlOptions) -> Result<Session> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(options.request_timeout))
        .load_balancing_policy(within(&options.datacenter))
        // Only what is idempotent is tried again: on another replica, at once, a bounded number of times.
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(CONNECT)
        .tcp_nodelay(true)
        .tls_context(options.tls.clone().map(TlsContext::from));
    if let Some((user, password)) = &options.credentials {
        builder = builder.user(user, password);
    }
    let built = tokio::time::timeout(SESSION, builder.build()).await;
    let built = built.map_err(|_| no_answer(&options.contact_points))?;
    let session = built.map_err(|error| no_session(&options.contact_points, &error))?;
    let state = session.get_cluster_state();
    let mut datacenters: Vec<&str> = state.get_nodes_info().iter().filter_map(|n| n.datacenter.as_deref()).collect();
    datacenters.sort_unstable();
    datacenters.dedup();
    if datacenters.contains(&options.datacenter.as_str()) {
        Ok(session)
    } else {
        Err(StoreError::Rejected(format!(
            "store.cql.datacenter: the cluster has no datacenter {}; it has {}",
            options.datacenter,
            datacenters.join(", ")
        )))
    }
}

/// Only nodes of that datacenter, replicas first.
pub(super) fn within(datacenter: &str) -> Arc<dyn LoadBalancingPolicy> {
    DefaultPolicy::builder()
        .prefer_datacenter(datacenter.to_owned())
        .token_aware(true)
        .permit_dc_failover(false)
        .build()
}
