//! The CQL engine on a real cluster: two datacenters of one node each, shared by tests that do not affect each other.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod many_subjects;
mod own_cluster;
mod shared_cluster;
mod start_without_database;

use std::sync::{Arc, Mutex, Weak};

use yima_harness::{Cluster, ClusterOptions, Options, now};
use yima_store::cql::{CqlOptions, CqlStore, migrate};

/// Tests that share one cluster. Each has keyspaces of its own, and nodes that disagree about the schema send each other
/// all of it: with those of 40 tests, making a table took seconds and other requests timed out.
const SHARED_BY: usize = 10;

/// The shared cluster, to be taken once by a test. It ends with its last user, since a `static` is never dropped.
fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<(Weak<Cluster>, usize)> = Mutex::new((Weak::new(), 0));
    let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (cluster, users) = &mut *shared;
    if let Some(cluster) = cluster.upgrade()
        && *users < SHARED_BY
    {
        *users += 1;
        return cluster;
    }
    // The tables stay in the nodes' memory.
    let started = Arc::new(Cluster::start(ClusterOptions::default().nodes([1, 1]).heap("1G")));
    *shared = (Arc::downgrade(&started), 1);
    started
}

/// The options of a test's own store: region `xian` is in `dc1`, `chengdu` in `dc2`.
fn options(cluster: &Cluster, keyspace: &str, region: &str) -> CqlOptions {
    let datacenter = if region == "xian" { 1 } else { 2 };
    CqlOptions {
        contact_points: cluster.contact_points(datacenter).iter().map(ToString::to_string).collect(),
        datacenter: format!("dc{datacenter}"),
        keyspace: keyspace.to_owned(),
        ..CqlOptions::new(region, [7; 16])
    }
}

/// Migrates the schema and opens the store.
async fn open(options: &CqlOptions) -> Arc<CqlStore> {
    migrate(options, None, now()).await.expect("the cluster accepts the schema");
    CqlStore::open(options.clone()).await.expect("a migrated schema")
}

/// Makes the keys of a data directory: `yima migrate` does so before it connects to a database.
pub fn make_keys(options: &Options) {
    let without_nodes = options.clone().env("YIMA_STORE__CQL__CONTACT_POINTS", "[]");
    let migrated = without_nodes.command().arg("migrate").output().expect("yima can be run");
    assert_eq!(migrated.status.code(), Some(3));
}
