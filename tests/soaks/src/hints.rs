//! One of three nodes is away under load, and is then told late what it missed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::checker::{Load, options, settle};
use yima_harness::{Cluster, ClusterOptions, Region, Stored, assert_same_folds, now};

use crate::services::Services;

/// A request that a dead node had is over after this.
const FAILED_OVER: Duration = Duration::from_secs(6);
/// For both other nodes to have sent all hints.
const REPLAYED: Duration = Duration::from_secs(300);
/// The load goes on for so long before and after.
const A_WHILE: Duration = Duration::from_secs(5);

/// The node is away for so long.
pub(crate) fn run(away: Duration) {
    report!("tests/soak hints {}", away.as_secs());
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().nodes([3])));
    let region = Region::new(&cluster, 1, "xian", "soak", options());
    let services = Services::start(&[(&region, 2, 2)]);
    let clients = services.clients(100);
    let load = Load { senders: 4, events_each: 400, batch: 20, readers: 3, pause: Duration::from_millis(100) };
    let mut moments = Vec::new();
    let (mut hints, mut replayed) = (0, Duration::ZERO);
    let record = clients.run(load, || {
        thread::sleep(A_WHILE);
        cluster.node(1, 2).kill9();
        moments.push(now());
        thread::sleep(away);
        moments.push(now());
        hints = hints_of(&cluster);
        assert!(hints > 0, "nothing was missed");
        let begun = Instant::now();
        cluster.node(1, 2).start();
        while hints_of(&cluster) > 0 {
            assert!(begun.elapsed() < REPLAYED, "hints are not sent");
            thread::sleep(Duration::from_millis(200));
        }
        replayed = begun.elapsed();
        thread::sleep(A_WHILE);
        clients.stop.store(true, Ordering::SeqCst);
    });
    let (killed_at, started_at) = (moments[0], moments[1]);
    let failed_over = killed_at.plus(FAILED_OVER);
    let failed = record.unknown.values().filter(|at| **at >= failed_over && **at < started_at).count();
    assert_eq!(failed, 0, "with two of three nodes requests failed");
    let missed = record.acknowledged.iter().filter(|event| event.at >= killed_at && event.at < started_at).count();
    let record = settle(&clients, record);
    assert_same_folds(&[&Stored::open(&region)], &clients.people, &record.acknowledged);
    report!(
        "{} events acknowledged, {missed} of them while the node was away, {} without an answer; {hints} bytes of hints sent {:.0} s after its start; \
         {} answers hold, {} refused; every view is the fold of all",
        record.acknowledged.len(),
        record.unknown.len(),
        replayed.as_secs_f64(),
        record.shown.len(),
        record.refused
    );
}

/// Bytes of hints that the other two keep.
fn hints_of(cluster: &Cluster) -> u64 {
    [1, 3].iter().map(|n| cluster.node(1, *n).hints_bytes()).sum()
}
