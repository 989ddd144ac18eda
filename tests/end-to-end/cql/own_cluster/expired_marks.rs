//! A network partition between regions that outlasts the retention of marks and hints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use yima_harness::checker::{BOUND, Workload, converge, options, quiesce};
use yima_harness::{Cluster, ClusterOptions, Region, RegionStore, Yima, assert_same_folds, now, until};
use yima_schema::time::Time;
use yima_store::{MarkFeed, Source};

use super::failures_and_partitions::{FAILED_OVER, HEALED, PAUSE, assert_regions_independent, clients};

/// Retention of marks.
const RETENTION: Duration = Duration::from_secs(6);
/// Lifetime of hints.
const HINTS: Duration = Duration::from_secs(3);
/// A little longer than a read node caches how far the other regions are followed.
const REGIONS_SEEN: Duration = Duration::from_millis(1_500);

/// Waits until a writer reports that marks of the other region expired before it could read them.
fn wait_for_missed_marks(writer: &Yima, other: &str) {
    let labels = [&*format!("region=\"{other}\""), "outcome=\"missed\""];
    until(&format!("missed marks of {other}"), HEALED, || writer.metric("marks_total", &labels) > 0.0);
    assert!(writer.stderr().contains("marks expired before they were followed: run yima reconcile"));
}

/// Waits until a region has followed all streams of the other.
fn wait_until_followed(stored: &RegionStore, region: &Region, since: Time) {
    let is_followed =
        |source: &Source| source.region == region.name || source.position == source.taken && source.as_of > since;
    let all_followed = || stored.runtime.block_on(stored.store.sources()).unwrap().iter().all(is_followed);
    until(&format!("{} to follow the other region", region.name), HEALED, all_followed);
}

/// A count in a line of `yima reconcile`.
fn count(line: &str, name: &str) -> u64 {
    let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Both regions accept events about the same subjects before, during and after the partition. Each reports expired
/// marks, no answer claims to include their events, and reconciling brings those.
#[test]
fn as_root_reconciling_mends_a_partition_longer_than_the_retention_of_marks() {
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
    let record = clients.run(Workload { senders: 2, events_each: 1_000, batch: 20, readers: 2, pause: PAUSE }, || {
        cluster.cut(2);
        moments.push(now());
        thread::sleep(FAILED_OVER + RETENTION); // the length of the partition, no wait
        moments.push(now());
        cluster.heal(2);
        wait_for_missed_marks(&writers[0], "chengdu");
        wait_for_missed_marks(&writers[1], "xian");
        clients.stop.store(true, Ordering::SeqCst);
    });
    let (cut_at, healed_at) = (moments[0], moments[1]);
    assert_regions_independent(&record, cut_at.plus(FAILED_OVER), healed_at);
    let failed = record.unknown.values().filter(|at| **at > healed_at).count();
    assert_eq!(failed, 0, "requests failed after the partition was healed");
    let regions = [&xian, &chengdu];
    let stored = regions.map(RegionStore::open);
    let mut record = quiesce(&clients, record);
    // With everything followed that can be, still no answer claims to include an event whose mark expired:
    // `check` tests every answer.
    let ended_at = now();
    stored.iter().zip(regions).for_each(|(stored, region)| wait_until_followed(stored, region, ended_at));
    record.add(clients.poll_every_node(now().plus(REGIONS_SEEN), HEALED));
    record.check(BOUND);
    let people: Vec<_> = clients.people.iter().map(|(person, _)| person).collect();
    let [here, there] = [0, 1].map(|n| stored[n].read(people.iter().copied()));
    assert!(
        here.iter().zip(&there).any(|(here, there)| here.events != there.events),
        "both regions have the same events already"
    );
    let reconcile = |region: &Region, args: &[&str]| region.options().print(&[&["reconcile"], args].concat()).remove(0);
    let first = reconcile(&xian, &[]);
    assert!(count(&first, "events_fetched") > 0 && count(&first, "events_sent") > 0, "{first}");
    let second = reconcile(&chengdu, &[]);
    for region in regions {
        let report = reconcile(region, &["--report"]);
        let counts = ["views_behind", "events_fetched", "events_sent", "unreadable"].map(|name| count(&report, name));
        assert_eq!(counts, [0; 4], "{}: {report}", region.name);
    }
    converge(&clients, &mut record, HEALED);
    record.check(BOUND);
    assert_same_folds(&[&stored[0], &stored[1]], &clients.people, &record.acknowledged);
    eprintln!("{} events acknowledged; xian: {first}; chengdu: {second}", record.acknowledged.len());
}
