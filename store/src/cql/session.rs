//! A session with the nodes of one datacenter.
//!
//! Token-aware and datacenter-local: a request goes to a replica of its partition in `store.cql.datacenter`, and never
//! to another datacenter, where LOCAL_QUORUM would mean another quorum. `statements/` chooses by statement what happens
//! to a request that fails. Timestamps are the servers' own (the driver sends none).
//!
//! A node that is silent is left after `leave_silent_after`: its connections are closed, and requests under way on them
//! go to other nodes. A node that is much slower than the others gets no requests until it is tried again.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::{Session, TlsContext};
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{DefaultPolicy, DefaultPolicyBuilder, LatencyAwarenessBuilder};
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::error::{from_new_session, no_answer};
use super::options::CqlOptions;
use crate::{Result, StoreError};

/// For one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Part of `leave_silent_after` after which a connection is asked for a sign of life; the rest is the time for it.
const KEEPALIVE_INTERVAL: f64 = 0.4;
/// A node whose mean latency is more than this many times that of the fastest gets no requests …
const SLOW: f64 = 4.0;
/// … for this time.
const RETRY_SLOW_AFTER: Duration = Duration::from_secs(5);
/// For the session: the driver would wait a minute for a node that accepts a connection and stays silent.
const SESSION_TIMEOUT: Duration = Duration::from_secs(12);

/// Connects.
///
/// # Errors
/// `Rejected` with the setting that is wrong; `Unavailable` if no contact point answers.
pub(super) async fn connect(options: &CqlOptions) -> Result<Session> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(options.request_timeout))
        .load_balancing_policy(within(&options.datacenter).latency_awareness(leave_slow_nodes()).build())
        // Retries only idempotent statements: on another replica, at once, a bounded number of times.
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        // Idempotent statements only. Late enough that a database which is slow because it is overloaded does not get
        // every request twice.
        .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: options.request_timeout / 2,
        })))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(CONNECT_TIMEOUT)
        .keepalive_interval(options.leave_silent_after.mul_f64(KEEPALIVE_INTERVAL))
        .keepalive_timeout(options.leave_silent_after.mul_f64(1.0 - KEEPALIVE_INTERVAL))
        .tcp_nodelay(true)
        .tls_context(options.tls.clone().map(TlsContext::from));
    if let Some((user, password)) = &options.credentials {
        builder = builder.user(user, password);
    }
    let built = tokio::time::timeout(SESSION_TIMEOUT, builder.build()).await;
    let built = built.map_err(|_| no_answer(&options.contact_points))?;
    let session = built.map_err(|error| from_new_session(&options.contact_points, &error))?;
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
pub(super) fn within(datacenter: &str) -> DefaultPolicyBuilder {
    DefaultPolicy::builder().prefer_datacenter(datacenter.to_owned()).token_aware(true).permit_dc_failover(false)
}

/// The mean is of the last tenths of a second.
fn leave_slow_nodes() -> LatencyAwarenessBuilder {
    LatencyAwarenessBuilder::new().exclusion_threshold(SLOW).retry_period(RETRY_SLOW_AFTER)
}

/// The statement, sent to another datacenter if one is given: LOCAL_QUORUM then means a quorum there.
pub(super) fn routed<'a>(statement: &'a PreparedStatement, datacenter: Option<&str>) -> Cow<'a, PreparedStatement> {
    let Some(datacenter) = datacenter else { return Cow::Borrowed(statement) };
    let mut statement = statement.clone();
    statement.set_load_balancing_policy(Some(within(datacenter).build()));
    Cow::Owned(statement)
}
