//! Failure of a database node, and network partitions between regions, under the checker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::json;
use yima_harness::checker::{BOUND, Clients, Record, ShownDisplay, Workload, converge, options, people, quiesce};
use yima_harness::{Cluster, ClusterOptions, Node, Region, Yima, now, until};
use yima_schema::time::Time;

/// Length of each phase of the traffic: an amount of traffic, no wait.
const PHASE: Duration = Duration::from_secs(4);
/// From an answer to a client's next request. Without a pause the clients would occupy the processor for the whole
/// length of the phases.
pub const PAUSE: Duration = Duration::from_millis(200);
/// A region is silent after this: less than a partition lasts.
const SILENT: Duration = Duration::from_secs(5);
/// A display is stale when it is older (`max_lag_ms`).
const STALE: Duration = Duration::from_secs(2);
/// A request to a dead node has ended after this: `request_timeout_ms` twice, and the writer's retry.
pub const FAILED_OVER: Duration = Duration::from_secs(6);
/// Time from the end of a partition until every region has all events of the others.
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

/// Parts of the time that a slow node runs and does not.
const RUNS: Duration = Duration::from_millis(20);
const STANDS_STILL: Duration = Duration::from_millis(280);

/// One of three nodes hangs, runs only a fifteenth of the time, and is killed, under traffic. Requests succeed once the
/// driver has failed over, displays stay fresh, and the writes that the node missed and receives late take no answer
/// back.
#[test]
fn requests_survive_a_hung_a_slow_and_a_lost_node_of_three() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().nodes([3])));
    let options = options().env("YIMA_STORE__CQL__LEAVE_SILENT_AFTER_MS", 3_000);
    let region = Region::new(&cluster, 1, "xian", "of_three", options);
    let (writers, readers) = ([region.writer(&[]), region.writer(&[])], [region.reader(&[]), region.reader(&[])]);
    let clients = clients(&[(0, &readers[0]), (0, &readers[1])], &[(0, &writers[0]), (0, &writers[1])], 40, &["xian"]);
    let node = cluster.node(1, 2);
    let mut phases = Vec::new();
    let record = clients.run(Workload { senders: 4, events_each: 1_000, batch: 20, readers: 3, pause: PAUSE }, || {
        let mut phase = |run: &dyn Fn()| {
            let from = now();
            run();
            phases.push((from, now()));
        };
        phase(&|| thread::sleep(PHASE));
        node.pause();
        phase(&|| thread::sleep(FAILED_OVER + PHASE));
        node.resume();
        node.wait_until_up();
        phase(&|| run_slowly(node, FAILED_OVER + PHASE));
        node.wait_until_up();
        node.kill9();
        phase(&|| thread::sleep(FAILED_OVER + PHASE));
        node.start();
        phase(&|| thread::sleep(PHASE));
        clients.stop.store(true, Ordering::SeqCst);
    });
    let [normal, hung, slow, lost, _] = phases[..] else { panic!("five phases") };
    // Acknowledged events per second, once the driver has failed over.
    let rate = |(from, to): (Time, Time), settled: Duration| {
        let from = from.plus(settled);
        let count = record.acknowledged.iter().filter(|event| event.at > from && event.at < to).count();
        count as f64 / to.since(from).as_secs_f64()
    };
    let rates = [(normal, Duration::ZERO), (hung, FAILED_OVER), (slow, FAILED_OVER), (lost, FAILED_OVER)];
    let rates = rates.map(|(phase, settled)| rate(phase, settled));
    let failed = |(from, to): (Time, Time)| {
        record.unknown.values().filter(|at| **at >= from.plus(FAILED_OVER) && **at < to).count()
    };
    eprintln!(
        "events acknowledged a second: {rates:.0?} (normal, hung, slow, lost); not acknowledged: {} in all; {} answers \
         refused",
        record.unknown.len(),
        record.refused
    );
    for (name, phase) in [("hung", hung), ("lost", lost)] {
        assert_eq!(failed(phase), 0, "with a {name} node requests failed");
    }
    // Without leaving the slow node it is a seventh.
    for (name, rate, part) in [("hung", rates[1], 4.0), ("slow", rates[2], 7.0), ("lost", rates[3], 4.0)] {
        assert!(rate > rates[0] / part, "with a {name} node: {rates:.0?}");
    }
    let is_old = |shown: &&ShownDisplay| shown.requested_at.since(shown.as_of) > STALE;
    for (name, (from, to)) in [("hung", hung), ("lost", lost)] {
        let within = record.shown.iter().filter(|s| s.requested_at > from.plus(FAILED_OVER) && s.answered_at < to);
        let (count, old) = (within.clone().count(), within.filter(is_old).count());
        assert!(count > 0 && old * 4 < count, "with a {name} node {old} of {count} displays were stale");
    }
    quiesce(&clients, record);
}

/// Stops and resumes a node, so that it runs a fifteenth of the time: a disk that fails, a neighbour that takes the
/// processor.
fn run_slowly(node: Node<'_>, length: Duration) {
    let until = now().plus(length);
    while now() < until {
        node.pause();
        thread::sleep(STANDS_STILL);
        node.resume();
        thread::sleep(RUNS);
    }
}

/// Both regions accept events about the same subjects during a partition, and converge after it.
fn partition(cluster: ClusterOptions, keyspace: &str) {
    let cluster = Arc::new(Cluster::start(cluster.nodes([1, 1]).namespaces()));
    let base = options().env("YIMA_READ_API__CACHE__MAX_REGION_LAG_S", SILENT.as_secs());
    let xian = Region::new(&cluster, 1, "xian", keyspace, base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", keyspace, base);
    let (writers, readers) = ([xian.writer(&[]), chengdu.writer(&[])], [xian.reader(&[]), chengdu.reader(&[])]);
    let clients =
        clients(&[(0, &readers[0]), (1, &readers[1])], &[(0, &writers[0]), (1, &writers[1])], 40, &["xian", "chengdu"]);
    let mut moments = Vec::new();
    let record = clients.run(Workload { senders: 4, events_each: 1_000, batch: 20, readers: 4, pause: PAUSE }, || {
        thread::sleep(PHASE);
        cluster.cut(2);
        moments.push(now());
        thread::sleep(FAILED_OVER + PHASE);
        moments.push(now());
        clients.stop.store(true, Ordering::SeqCst);
    });
    let (cut_at, ended_at) = (moments[0], moments[1]);
    assert_regions_independent(&record, cut_at.plus(FAILED_OVER), ended_at);
    let mut record = quiesce(&clients, record);
    for (reader, other) in [(&readers[0], "chengdu"), (&readers[1], "xian")] {
        let session = &clients.people[0].1;
        let verdict = reader.scan(&reader.checkpoint_session(), &reader.code(session));
        assert_eq!((&verdict["reason"], &verdict["silent_regions"]), (&json!("region_silent"), &json!([other])));
        assert_eq!(reader.display(session).header("yima-silent-regions"), other);
    }
    cluster.heal(2);
    let healed_at = now();
    converge(&clients, &mut record, HEALED);
    eprintln!(
        "{} events acknowledged, converged {:?} after healing",
        record.acknowledged.len(),
        now().since(healed_at)
    );
    record.check(BOUND);
    let checkpoint = readers[0].checkpoint_session();
    until("scans of green to pass", HEALED, || {
        readers[0].scan(&checkpoint, &readers[0].code(&clients.people[0].1))["reason"] == "green"
    });
}

/// During the partition both regions acknowledged events and answered displays, and neither claimed to include
/// the other's later events.
pub fn assert_regions_independent(record: &Record, from: Time, to: Time) {
    let is_during = |at: Time| at > from && at < to;
    for region in [0, 1] {
        let acknowledged = record.acknowledged.iter().filter(|a| a.region == region && is_during(a.at)).count();
        assert!(acknowledged > 0, "region {region} acknowledged nothing during the partition");
        let mut shown = record.shown.iter().filter(|s| s.region == region && is_during(s.requested_at)).peekable();
        assert!(shown.peek().is_some(), "region {region} answered nothing during the partition");
        for one in shown {
            assert!(one.other_as_of.iter().all(|(_, as_of)| *as_of <= from), "{one:?}");
        }
    }
    let failed = record.unknown.values().filter(|at| is_during(**at)).count();
    assert_eq!(failed, 0, "requests failed because the other region is out of reach");
}

#[test]
fn as_root_partitioned_regions_converge_by_hints() {
    partition(ClusterOptions::default(), "cut_hints");
}

/// Without hints, as in a partition that outlasts them: the marks name the missing events, which are fetched.
#[test]
fn as_root_partitioned_regions_without_hints_converge_by_marks() {
    partition(ClusterOptions::default().setting("hinted_handoff_enabled", "false"), "cut_marks");
}
