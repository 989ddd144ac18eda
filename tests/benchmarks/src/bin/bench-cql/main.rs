//! The benchmark of the CQL engine on Apache Cassandra: beside the driver alone in interleaved rounds, then the
//! services' memory, then two regions and the cost of a read node: `bench-cql [ROUNDS [quick]]`. Everything shares this
//! machine: only ratios, and times at a low rate, carry over to another.

#[macro_use]
extern crate yima_harness;

mod connections;
mod events;
mod figures;
mod lookups;
mod memory;
mod node;
mod regions;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use yima_harness::{Cluster, ClusterOptions, now};
use yima_store::cql::{CqlOptions, migrate};

use regions::Regions;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(5, |n| n.parse().expect("ROUNDS: a number"));
    let quick = arguments.next().is_some_and(|word| word == "quick" || panic!("expected quick, not {word}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    report!("-- one node");
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().benchmark()));
    let options = options(&cluster, "xian");
    runtime.block_on(async {
        migrate(&options, None, now()).await.expect("an empty database");
        let views = events::compare(&options, rounds, if quick { 8_000 } else { 16_000 }).await;
        lookups::compare(&options, rounds, views, if quick { 40_000 } else { 200_000 }).await;
    });
    memory::memory(&cluster, if quick { 2 } else { 20 });
    drop(cluster);

    report!("-- two regions of one node each");
    let cluster = Cluster::start(ClusterOptions::default().benchmark().nodes([1, 1]));
    runtime.block_on(async {
        let regions = Regions::open(&cluster).await;
        regions.visible(500).await;
        node::cost(&cluster, &regions, if quick { 5 } else { 30 }).await;
        regions.drain(if quick { 20_000 } else { 100_000 }).await;
    });
}

/// The options of a region's store: `xian` is in `dc1`, `chengdu` in `dc2`.
fn options(cluster: &Cluster, region: &str) -> CqlOptions {
    let datacenter = datacenter(region);
    CqlOptions {
        contact_points: cluster.contact_points(datacenter).iter().map(ToString::to_string).collect(),
        datacenter: format!("dc{datacenter}"),
        // After a timeout the driver alone would fail where the fold retries: so long that neither times out.
        request_timeout: Duration::from_secs(20),
        ..CqlOptions::new(region, [7; 16])
    }
}

fn datacenter(region: &str) -> usize {
    if region == "xian" { 1 } else { 2 }
}
