//! The benchmark of the CQL engine on Apache Cassandra: beside the driver alone in interleaved rounds, then the
//! services' memory, then two regions, of which one catches up: `bench-cql [ROUNDS [quick]]`. `bench-cql propagation
//! [COUNT [quick]]`: how soon an event shows on other nodes, and the cost of a read node. Everything shares this machine:
//! only ratios, and times at a low rate, carry over to another.

#[macro_use]
extern crate yima_harness;

mod connections;
mod events;
mod figures;
mod lookups;
mod memory;
mod node;
mod propagation;
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
    let mut arguments = std::env::args().skip(1).peekable();
    let propagation = arguments.next_if(|word| word == "propagation").is_some();
    let number: Option<usize> = arguments.next().map(|n| n.parse().expect("ROUNDS or COUNT: a number"));
    let quick = arguments.next().is_some_and(|word| word == "quick" || panic!("expected quick, not {word}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let nodes = ClusterOptions::default().benchmark();

    if propagation {
        report!("-- two regions of one node each, 100 ms of round trip between them");
        let cluster = Cluster::start(nodes.nodes([1, 1]).round_trip(Duration::from_millis(100)));
        return runtime.block_on(async {
            let regions = Regions::open(&cluster).await;
            propagation::measure(&cluster, &regions, number.unwrap_or(1_000)).await;
            node::cost(&cluster, &regions, if quick { 5 } else { 30 }).await;
        });
    }

    report!("-- one node");
    let cluster = Arc::new(Cluster::start(nodes.clone()));
    let options = options(&cluster, "xian");
    runtime.block_on(async {
        migrate(&options, None, now()).await.expect("an empty database");
        let views = events::compare(&options, number.unwrap_or(5), if quick { 8_000 } else { 16_000 }).await;
        lookups::compare(&options, number.unwrap_or(5), views, if quick { 40_000 } else { 200_000 }).await;
    });
    memory::memory(&cluster, if quick { 2 } else { 20 });
    drop(cluster);

    report!("-- two regions of one node each");
    let cluster = Cluster::start(nodes.nodes([1, 1]));
    runtime.block_on(async {
        let regions = Regions::open(&cluster).await;
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
