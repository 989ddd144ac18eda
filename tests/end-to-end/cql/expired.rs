//! Regions that are cut from each other for longer than anything is kept for the other one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use yima_harness::checker::{BOUND, Workload, converge, options, quiesce};
use yima_harness::{Cluster, ClusterOptions, Region, RegionStore, Yima, assert_same_folds, now, until};
use yima_schema::time::Time;
use yima_store::{MarkFeed, Source};

use super::failures::{FAILED_OVER, HEALED, clients, told_while_cut};

/// How long marks stay, and hints count.
const RETENTION: Duration = Duration::from_secs(6);
const HINTS: Duration = Duration::from_secs(3);
/// How long a read node remembers how far the other regions are followed, and a bit.
const REGIONS_SEEN: Duration = Duration::from_millis(1_500);

/// Waits until a writer says that marks of the other region expired before it could read them.
fn notices(writer: &Yima, other: &str) {
    let labels = [&*format!("region=\"{other}\""), "outcome=\"missed\""];
    until(&format!("marks of {other} missed"), HEALED, || writer.metric("marks_total", &labels) > 0.0);
    assert!(writer.stderr().contains("marks expired before they were followed: run yima reconcile"));
}

/// Waits until a region has followed the other to its end.
fn follows(stored: &RegionStore, region: &Region, since: Time) {
    let is_followed =
        |source: &Source| source.region == region.name || source.position == source.taken && source.as_of > since;
    let is_done = || stored.runtime.block_on(stored.store.sources()).unwrap().iter().all(is_followed);
    until(&format!("{} at the end of the other", region.name), HEALED, is_done);
}

/// A count that `yima reconcile` prints.
fn count(line: &str, what: &str) -> u64 {
    let found = line.split(' ').find_map(|word| word.strip_prefix(what)?.strip_prefix('='));
    found.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {what} in {line}"))
}

/// Both regions take events about the same people, also while they cannot reach each other and when they can again. What has expired is
/// noticed, is claimed by nobody, and is brought by reconciling.
#[test]
fn as_root_regions_that_were_cut_off_longer_than_marks_are_kept_are_reconciled() {
    let nodes = ClusterOptions::default().nodes([1, 1]).namespaces();
    let cluster = Arc::new(Cluster::start(nodes.jvm(format!("-Dcassandra.maxHintTTL={}", HINTS.as_secs()))));
    let base =
        options().env("YIMA_STORE__CQL__RETENTION_S", RETENTION.as_secs()).env("YIMA_STORE__CQL__LEASE_MS", 1_000);
    let xian = Region::new(&cluster, 1, "xian", "expired", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "expired", base);
    let (writers, readers) = ([xian.writer(&[]), chengdu.writer(&[])], [xian.reader(&[]), chengdu.reader(&[])]);
    let clients =
        clients(&[(0, &readers[0]), (1, &readers[1])], &[(0, &writers[0]), (1, &writers[1])], 40, &["xian", "chengdu"]);
    let mut moments = Vec::new();
    let record =
        clients.run(Workload { senders: 2, events_each: 1_000, batch: 20, readers: 2, pause: Duration::ZERO }, || {
            cluster.cut(2);
            moments.push(now());
            thread::sleep(FAILED_OVER + RETENTION); // not waiting for anything: so much is to be taken
            moments.push(now());
            cluster.heal(2);
            notices(&writers[0], "chengdu");
            notices(&writers[1], "xian");
            clients.stop.store(true, Ordering::SeqCst);
        });
    let (cut_at, healed_at) = (moments[0], moments[1]);
    told_while_cut(&record, cut_at.plus(FAILED_OVER), healed_at);
    let failed = record.unknown.values().filter(|at| **at > healed_at).count();
    assert_eq!(failed, 0, "requests failed because the regions reach each other again");
    let regions = [&xian, &chengdu];
    let stored = regions.map(RegionStore::open);
    let mut record = quiesce(&clients, record);
    // Also when all is followed that can be, nobody claims to have what has expired: that is held against every answer.
    let ended_at = now();
    stored.iter().zip(regions).for_each(|(stored, region)| follows(stored, region, ended_at));
    record.add(clients.poll_every_node(now().plus(REGIONS_SEEN), HEALED));
    record.check(BOUND);
    let people: Vec<_> = clients.people.iter().map(|(person, _)| person).collect();
    let [here, there] = [0, 1].map(|n| stored[n].read(people.iter().copied()));
    assert!(here.iter().zip(&there).any(|(here, there)| here.events != there.events), "nothing had to be reconciled");
    let reconcile = |region: &Region, args: &[&str]| region.options().print(&[&["reconcile"], args].concat()).remove(0);
    let first = reconcile(&xian, &[]);
    assert!(count(&first, "events_fetched") > 0 && count(&first, "events_sent") > 0, "{first}");
    let second = reconcile(&chengdu, &[]);
    for region in regions {
        let left = reconcile(region, &["--report"]);
        let counts = ["views_behind", "events_fetched", "events_sent", "unreadable"].map(|what| count(&left, what));
        assert_eq!(counts, [0; 4], "{}: {left}", region.name);
    }
    converge(&clients, &mut record, HEALED);
    record.check(BOUND);
    assert_same_folds(&[&stored[0], &stored[1]], &clients.people, &record.acknowledged);
    eprintln!("{} events acknowledged; xian: {first}; chengdu: {second}", record.acknowledged.len());
}
