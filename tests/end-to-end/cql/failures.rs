//! Nodes that die, and regions that are cut from each other, under the checker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use yima_harness::checker::{BOUND, Clients, Record, Workload, converge, options, people, quiesce};
use yima_harness::{Cluster, ClusterOptions, Region, Yima, now};

/// How long the load goes on in each state: not waiting for anything, but how much of it there is.
const A_WHILE: Duration = Duration::from_secs(4);
/// A request that a dead node had is over after this: `request_timeout_ms` twice, and the writer's repetition.
pub const FAILED_OVER: Duration = Duration::from_secs(6);
/// After a cut is healed, until every region has everything of the others.
pub const HEALED: Duration = Duration::from_secs(90);

pub fn clients(readers: &[(usize, &Yima)], writers: &[(usize, &Yima)], subjects: usize, regions: &[&str]) -> Clients {
    let urls = |nodes: &[(usize, &Yima)], url: fn(&Yima) -> String| {
        nodes.iter().map(|(region, node)| (*region, url(node))).collect()
    };
    Clients::new(
        people(readers[0].1, subjects),
        writers[0].1.agency_token("lab-7"),
        urls(writers, Yima::writer_url),
        urls(readers, Yima::read_url),
        regions,
    )
}

/// One of three nodes is killed under load and comes back: requests go on after the driver has noticed, and what the node missed and is told
/// late takes nothing back.
#[test]
fn one_node_of_three_dies_and_comes_back() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().nodes([3])));
    let region = Region::new(&cluster, 1, "xian", "of_three", options());
    let (writers, readers) = ([region.writer(&[]), region.writer(&[])], [region.reader(&[]), region.reader(&[])]);
    let clients = clients(&[(0, &readers[0]), (0, &readers[1])], &[(0, &writers[0]), (0, &writers[1])], 40, &["xian"]);
    let mut moments = Vec::new();
    let record =
        clients.run(Workload { senders: 4, events_each: 1_000, batch: 20, readers: 3, pause: Duration::ZERO }, || {
            thread::sleep(A_WHILE);
            moments.push(now());
            cluster.node(1, 2).kill9();
            thread::sleep(FAILED_OVER + A_WHILE);
            moments.push(now());
            cluster.node(1, 2).start();
            thread::sleep(A_WHILE);
            clients.stop.store(true, Ordering::SeqCst);
        });
    let (killed_at, started_at) = (moments[0], moments[1]);
    let failed = |from, to| record.unknown.values().filter(|at| **at >= from && **at < to).count();
    eprintln!(
        "{} events acknowledged; not acknowledged: {} while the node was noticed, {} afterwards without it, {} in all; {} answers refused",
        record.acknowledged.len(),
        failed(killed_at, killed_at.plus(FAILED_OVER)),
        failed(killed_at.plus(FAILED_OVER), started_at),
        record.unknown.len(),
        record.refused
    );
    assert_eq!(failed(killed_at.plus(FAILED_OVER), started_at), 0, "with two of three nodes requests failed");
    assert!(record.acknowledged.iter().any(|a| a.at > killed_at.plus(FAILED_OVER) && a.at < started_at));
    quiesce(&clients, record);
}

/// Both regions take events about the same people while they cannot reach each other.
fn cut(cluster: ClusterOptions, keyspace: &str) {
    let cluster = Arc::new(Cluster::start(cluster.nodes([1, 1]).namespaces()));
    let base = options();
    let xian = Region::new(&cluster, 1, "xian", keyspace, base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", keyspace, base);
    let (writers, readers) = ([xian.writer(&[]), chengdu.writer(&[])], [xian.reader(&[]), chengdu.reader(&[])]);
    let clients =
        clients(&[(0, &readers[0]), (1, &readers[1])], &[(0, &writers[0]), (1, &writers[1])], 40, &["xian", "chengdu"]);
    let mut moments = Vec::new();
    let record =
        clients.run(Workload { senders: 4, events_each: 1_000, batch: 20, readers: 4, pause: Duration::ZERO }, || {
            thread::sleep(A_WHILE);
            cluster.cut(2);
            moments.push(now());
            thread::sleep(FAILED_OVER + A_WHILE);
            moments.push(now());
            clients.stop.store(true, Ordering::SeqCst);
        });
    let (cut_at, ended_at) = (moments[0], moments[1]);
    told_while_cut(&record, cut_at.plus(FAILED_OVER), ended_at);
    let mut record = quiesce(&clients, record);
    cluster.heal(2);
    let healed_at = now();
    converge(&clients, &mut record, HEALED);
    eprintln!(
        "{} events acknowledged, converged {:?} after healing",
        record.acknowledged.len(),
        now().since(healed_at)
    );
    record.check(BOUND);
}

/// That both regions went on, each true of its own, and that neither claimed to know the other.
pub fn told_while_cut(record: &Record, from: yima_schema::time::Time, to: yima_schema::time::Time) {
    for region in [0, 1] {
        let acknowledged =
            record.acknowledged.iter().filter(|a| a.region == region && a.at > from && a.at < to).count();
        assert!(acknowledged > 0, "region {region} took nothing while it was cut off");
        let mut shown = record
            .shown
            .iter()
            .filter(|s| s.region == region && s.requested_at > from && s.requested_at < to)
            .peekable();
        assert!(shown.peek().is_some(), "region {region} showed nothing while it was cut off");
        for one in shown {
            assert!(one.other_as_of.iter().all(|(_, as_of)| *as_of <= from), "{one:?}");
        }
    }
    let failed = record.unknown.values().filter(|at| **at > from && **at < to).count();
    assert_eq!(failed, 0, "requests failed because of another region");
}

#[test]
fn as_root_regions_that_were_cut_off_converge_by_hints() {
    cut(ClusterOptions::default(), "cut_hints");
}

/// Longer than hints are kept: what is missing is noticed by the marks and fetched.
#[test]
fn as_root_regions_that_were_cut_off_longer_than_hints_are_kept_converge_by_marks() {
    cut(ClusterOptions::default().setting("hinted_handoff_enabled", "false"), "cut_marks");
}
