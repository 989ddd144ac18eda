//! One of three database nodes is down under traffic, and then receives the writes it missed as hints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::checker::{Workload, options, quiesce};
use yima_harness::{Cluster, ClusterOptions, Region, RegionStore, assert_same_folds, now};

use crate::services::Services;

/// From a node's death until no request waits for it.
const FAILED_OVER: Duration = Duration::from_secs(6);
/// For both other nodes to send all hints.
const REPLAYED: Duration = Duration::from_secs(300);
/// The workload runs for this long before and after.
const A_WHILE: Duration = Duration::from_secs(5);

/// Runs with the node down for this long.
pub(crate) fn run(down: Duration) {
    report!("tests/soak hints {}", down.as_secs());
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().nodes([3])));
    let region = Region::new(&cluster, 1, "xian", "soak", options());
    let services = Services::start(&[(&region, 2, 2)]);
    let clients = services.clients(100);
    let workload = Workload { senders: 4, events_each: 400, batch: 20, readers: 3, pause: Duration::from_millis(100) };
    let mut moments = Vec::new();
    let (mut hints, mut replayed) = (0, Duration::ZERO);
    let record = clients.run(workload, || {
        thread::sleep(A_WHILE);
        cluster.node(1, 2).kill9();
        moments.push(now());
        thread::sleep(down);
        moments.push(now());
        hints = hints_of(&cluster);
        assert!(hints > 0, "the node missed no write");
        let start = Instant::now();
        cluster.node(1, 2).start();
        while hints_of(&cluster) > 0 {
            assert!(start.elapsed() < REPLAYED, "the hints were not sent");
            thread::sleep(Duration::from_millis(200));
        }
        replayed = start.elapsed();
        thread::sleep(A_WHILE);
        clients.stop.store(true, Ordering::SeqCst);
    });
    let (killed_at, started_at) = (moments[0], moments[1]);
    let failed_over = killed_at.plus(FAILED_OVER);
    let failed = record.unknown.values().filter(|at| **at >= failed_over && **at < started_at).count();
    assert_eq!(failed, 0, "requests failed with two of three nodes up");
    let missed = record.acknowledged.iter().filter(|event| event.at >= killed_at && event.at < started_at).count();
    let record = quiesce(&clients, record);
    assert_same_folds(&[&RegionStore::open(&region)], &clients.people, &record.acknowledged);
    report!(
        "{} events acknowledged, {missed} of them while the node was down, {} without an answer; {hints} bytes of \
         hints sent {:.0} s after its start; {} answers checked, {} refused; every view is the fold of all events",
        record.acknowledged.len(),
        record.unknown.len(),
        replayed.as_secs_f64(),
        record.shown.len(),
        record.refused
    );
}

/// Bytes of the hints that the other two nodes keep.
fn hints_of(cluster: &Cluster) -> u64 {
    [1, 3].iter().map(|n| cluster.node(1, *n).hints_bytes()).sum()
}
