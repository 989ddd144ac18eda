//! Replicas of a keyspace in one datacenter, changed one at a time, down to an explicit 0: ScyllaDB with tablets takes no
//! larger step and leaves a datacenter that is not named as it is; Cassandra takes both.

use std::collections::BTreeMap;

use scylla::client::session::Session;

use super::schema::replication;
use super::schema_changes::SchemaChanges;
use crate::cql::error::from_driver;
use crate::{Result, StoreError};

/// Gives a keyspace `wanted` replicas in a datacenter.
///
/// # Errors
/// `Rejected` if its replicas are not given by numbers, or none would be left anywhere.
pub(in crate::cql) async fn change_replicas(
    session: &Session,
    keyspace: &str,
    datacenter: &str,
    wanted: usize,
) -> Result<()> {
    let mut replicas = replication(session, keyspace).unwrap_or_default();
    let changes = SchemaChanges::new(session)?;
    loop {
        let now = replicas.get(datacenter).copied().unwrap_or(0);
        if now == wanted && !replicas.is_empty() {
            break;
        }
        if replicas.keys().all(|name| name == datacenter) {
            return Err(StoreError::Rejected(format!(
                "the keyspace {keyspace} is not replicated to other datacenters by numbers of replicas: give it \
                 {wanted} in {datacenter} with ALTER KEYSPACE, then run this again"
            )));
        }
        replicas.insert(datacenter.to_owned(), if now < wanted { now + 1 } else { now - 1 });
        changes.run(&alter_keyspace(keyspace, &replicas)?).await?;
    }
    session.refresh_metadata().await.map_err(|e| from_driver("schema", &e.into()))
}

fn alter_keyspace(keyspace: &str, replicas: &BTreeMap<String, usize>) -> Result<String> {
    let mut datacenters = String::new();
    for (name, replicas) in replicas {
        if name.contains('\'') {
            return Err(StoreError::Rejected(format!("a datacenter's name with a quotation mark: {name}")));
        }
        datacenters += &format!(", '{name}': {replicas}");
    }
    Ok(format!("ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy'{datacenters}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datacenter_without_replicas_is_named_with_0() {
        let replicas = BTreeMap::from([("dc1".to_owned(), 3), ("dc2".to_owned(), 0)]);
        assert_eq!(
            alter_keyspace("yima", &replicas).unwrap(),
            "ALTER KEYSPACE yima WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 0}"
        );
    }
}
