//! The CQL engine on a real cluster: two datacenters of one node, shared by tests that leave each other alone.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod clocks;
mod conformance;
mod crashes;
mod disk_space;

mod expired;
mod failures;
mod full_scans;
mod leases;
mod outage;
mod racing;
mod refusals;
mod regions;
mod restored;

mod secured;
mod streams;
mod traces;
mod withheld;
mod without_cluster;

use std::sync::{Arc, Mutex, Weak};

use yima_harness::{Cluster, ClusterOptions, now};
use yima_store::cql::{CqlOptions, CqlStore, migrate};

/// Ended with its last user, since nothing would end what a `static` owns.
fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(|fault| fault.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Cluster::start(ClusterOptions::default().nodes([1, 1])));
        *shared = Arc::downgrade(&started);
        started
    })
}

/// How a store of a test's own is opened: region `xian` is in `dc1`, `chengdu` in `dc2`.
fn options(cluster: &Cluster, keyspace: &str, region: &str) -> CqlOptions {
    let datacenter = if region == "xian" { 1 } else { 2 };
    CqlOptions {
        contact_points: cluster.contact_points(datacenter).iter().map(ToString::to_string).collect(),
        datacenter: format!("dc{datacenter}"),
        keyspace: keyspace.to_owned(),
        ..CqlOptions::new(region, [7; 16])
    }
}

/// Makes the tables and opens them.
async fn open(options: &CqlOptions) -> Arc<CqlStore> {
    migrate(options, None, now()).await.expect("the cluster takes the schema");
    CqlStore::open(options.clone()).await.expect("the schema is there")
}
