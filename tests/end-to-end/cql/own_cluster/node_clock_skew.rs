//! A database node whose clock is ten minutes off.

use std::sync::Arc;

use yima_harness::checker::{BOUND, options};
use yima_harness::{Cluster, ClusterOptions, Region, faketime};

use crate::cql::shared_cluster::clock_skew::{run, skewed};

#[test]
fn a_database_node_with_a_skewed_clock_breaks_no_promise() {
    let library = faketime();
    for offset in ["+600", "-600"] {
        let mut cluster = ClusterOptions::default();
        for (variable, value) in skewed(offset, &library) {
            cluster = cluster.node_env(1, 1, variable, value);
        }
        let cluster = Arc::new(Cluster::start(cluster));
        let region = Region::new(&cluster, 1, "xian", "clocks_of_nodes", options());
        let (_, record, _running) = run(&region, &[], &[]);
        record.check(BOUND);
    }
}
