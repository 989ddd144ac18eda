//! Schema changes, all through one node, whichever has the lowest id: Cassandra (unlike ScyllaDB, which orders schema
//! changes by Raft) can create one table twice when two nodes get the request at the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::policies::load_balancing::{LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Statement;

use crate::cql::error::from_driver;
use crate::{Result, StoreError};

/// A schema change waits for every node.
pub(in crate::cql) const DDL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs schema changes through one node.
pub(in crate::cql) struct SchemaChanges<'a> {
    pub(super) session: &'a Session,
    target: Arc<dyn LoadBalancingPolicy>,
}

impl<'a> SchemaChanges<'a> {
    /// Takes the node with the lowest id of those that are connected, in any datacenter, so that all processes take the
    /// same one.
    pub(in crate::cql) fn new(session: &'a Session) -> Result<Self> {
        let state = session.get_cluster_state();
        let first = state.get_nodes_info().iter().filter(|node| node.is_connected()).map(|node| node.host_id).min();
        let first = first.ok_or_else(|| StoreError::Unavailable("no node is connected".into()))?;
        Ok(Self { session, target: SingleTargetLoadBalancingPolicy::new(NodeIdentifier::HostId(first), None) })
    }

    pub(in crate::cql) async fn run(&self, text: &str) -> Result<()> {
        let mut statement = Statement::new(text);
        statement.set_load_balancing_policy(Some(Arc::clone(&self.target)));
        statement.set_request_timeout(Some(DDL_TIMEOUT));
        statement.set_is_idempotent(true);
        self.session.query_unpaged(statement, ()).await.map_err(|e| from_driver("schema", &e))?;
        // Also when another process has just made the change and the other nodes do not know it yet.
        self.session.await_schema_agreement().await.map(drop).map_err(|e| from_driver("schema", &e.into()))
    }
}

/// The statement that creates a keyspace.
pub(super) fn create_keyspace(keyspace: &str, replicas: &BTreeMap<String, usize>) -> Result<String> {
    let mut datacenters = String::new();
    for (name, replicas) in replicas {
        if *replicas == 0 || name.contains('\'') {
            return Err(StoreError::Rejected(format!(
                "--replication: expected a datacenter and at least 1 replica, not {name}={replicas}"
            )));
        }
        datacenters += &format!(", '{name}': {replicas}");
    }
    Ok(format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} \
         WITH replication = {{'class': 'NetworkTopologyStrategy'{datacenters}}}"
    ))
}
