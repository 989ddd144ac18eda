//! A region that is lost, given up for good, and comes back.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use yima_harness::checker::{BOUND, Workload, converge, options, quiesce};
use yima_harness::{Cluster, ClusterOptions, Region, RegionStore, Yima, assert_same_folds, now, until};

use super::failures_and_partitions::{HEALED, PAUSE, clients};
use crate::start_stop::assert_refuses_start;

/// Length of the traffic before the loss, and of the cut: an amount of traffic, no wait.
const TRAFFIC: Duration = Duration::from_secs(2);
/// For a process to see that a region was retired, with requests to nodes that are down.
const SEEN: Duration = Duration::from_secs(30);
/// The failpoints of each command, in their order.
const RETIRE: [&str; 4] = ["retiring_recorded", "replicas_removed", "retired_recorded", "keyspace_dropped"];
const REJOIN: [&str; 4] = ["replicas_added", "rejoining_recorded", "region_rebuilt", "region_reconciled"];

/// A command's exit code, standard output and standard error.
fn run(region: &Region, keyspace: Option<&str>, args: &[&str], failpoint: Option<&str>) -> (Output, String, String) {
    let options = region.options().clone();
    let options = keyspace.map_or(options.clone(), |name| options.env("YIMA_STORE__CQL__KEYSPACE", name));
    let options = failpoint.map_or(options.clone(), |point| options.env("FAILPOINT", format!("{point}:kill")));
    let output = options.command().args(args).output().expect("yima can be run");
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output, stdout, stderr)
}

/// Runs a command that has to end with `code`, and returns its standard output and standard error.
fn ends(region: &Region, args: &[&str], code: i32) -> (String, String) {
    let (output, stdout, stderr) = run(region, None, args, None);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn is_refused(region: &Region, args: &[&str], why: &str) {
    let (_, stderr) = ends(region, args, 3);
    assert!(stderr.contains(why), "{args:?}: {stderr}");
}

/// Kills the command at each of its steps, then lets it finish; returns what it prints.
fn killed_at_each_step(region: &Region, args: &[&str], points: &[&str]) -> String {
    for point in points {
        let (output, stdout, stderr) = run(region, None, args, Some(point));
        assert_eq!(output.status.signal(), Some(9), "{args:?} at {point}: {stdout}{stderr}");
    }
    ends(region, args, 0).0
}

/// The line of a region in `yima region list`.
fn listed(region: &Region, name: &str, code: i32) -> (String, String) {
    let (stdout, stderr) = ends(region, &["region", "list"], code);
    let line = stdout.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {stdout}"));
    (line.to_owned(), stderr)
}

fn scrape(yima: &Yima) -> String {
    yima.http().get(&format!("{}/metrics", yima.admin_url()), "").text().to_owned()
}

fn has_gauge(yima: &Yima, gauge: &str) -> bool {
    scrape(yima).contains(&format!("\n{gauge}{{region=\"chengdu\"}}"))
}

/// While the region is down: the schema of another deployment is made, and its region rebuilt.
fn migrations_do_without_it(xian: &Region) {
    let migrate = |args: &[&str]| {
        let args = [&["migrate", "--replication", "dc1=1,dc2=1"], args].concat();
        run(xian, Some("alone"), &args, None)
    };
    let (output, _, stderr) = migrate(&[]);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("yima migrate --alone"), "{stderr}");
    let (output, stdout, stderr) = migrate(&["--alone"]);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("registered the region") && stdout.contains("left for later"), "{stdout}");
    let (output, _, stderr) = run(xian, Some("alone"), &["rebuild"], None);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

/// A process that ran on while its region was lost stops serving when it sees the retirement.
fn is_fenced(writer: &Yima, reader: &Yima, chengdu: &Region, session: &str, lost_at: yima_schema::time::Time) {
    for process in [writer, reader] {
        let ready = || process.http().get(&format!("{}/health/ready", process.admin_url()), "");
        until("a fenced process to be not ready", SEEN, || ready().text().contains("retired"));
        assert_eq!(process.metric("region_retired", &[]), 1.0);
        assert!(process.stderr().contains("yima region rejoin chengdu"), "{}", process.stderr());
    }
    let token = writer.agency_token("lab-7");
    let person = yima_harness::new_person();
    let event = person.test("fenced", "negative", yima_schema::time::HOUR).to_string();
    let url = format!("{}/v1/events", writer.writer_url());
    let reply = writer.http().push(&url, &token, "application/json", event.as_bytes()).expect("an answer");
    assert_eq!(reply.status, 503);
    let bearer = format!("Bearer {session}");
    let shown = reader.http().get_with(&format!("{}/v1/display", reader.read_url()), &[("authorization", &bearer)]);
    let shown = shown.expect("an answer");
    let as_of = (shown.status == 200).then(|| shown.header("yima-as-of").parse().expect("a time"));
    assert!(as_of.is_none_or(|as_of: yima_schema::time::Time| as_of < lost_at), "{as_of:?} after {lost_at}");
    for service in ["writer", "read-api"] {
        let starting = chengdu.options().clone().command_line(&[service]);
        assert_refuses_start(&starting, &["was retired at", "yima region rejoin chengdu"]);
    }
    is_refused(chengdu, &["rebuild"], "was retired at");
}

/// Chengdu acknowledges events that xian never gets, then dies with its database. Xian goes on, retires it, and takes it
/// back from its disks: every acknowledged event is in both.
#[test]
fn as_root_a_lost_region_is_retired_and_taken_back() {
    let nodes = ClusterOptions::default().nodes([1, 1]).namespaces().sync_commits();
    let cluster = Arc::new(Cluster::start(nodes.setting("hinted_handoff_enabled", "false")));
    let base = options().env("YIMA_STORE__CQL__LEASE_MS", 1_000);
    let xian = Region::new(&cluster, 1, "xian", "lost", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "lost", base);
    let mut writers = [xian.writer(&[]), chengdu.writer(&[])];
    let mut readers = [xian.reader(&[]), chengdu.reader(&[])];
    let survivor = chengdu.writer(&[]);
    let clients =
        clients(&[(0, &readers[0]), (1, &readers[1])], &[(0, &writers[0]), (1, &writers[1])], 20, &["xian", "chengdu"]);
    let mut moments = Vec::new();
    let record = clients.run(Workload { senders: 2, events_each: 10_000, batch: 10, readers: 2, pause: PAUSE }, || {
        thread::sleep(TRAFFIC);
        let retire = ["region", "retire", "chengdu", "--confirm", "chengdu"];
        is_refused(&xian, &retire, "1 of 1 nodes of datacenter dc2 answer");
        assert!(listed(&xian, "chengdu", 0).0.contains("active"));
        cluster.cut(2);
        moments.push(now());
        thread::sleep(TRAFFIC);
        cluster.node(2, 1).kill9();
        writers[1].kill9();
        moments.push(now());
        cluster.heal(2);

        until("a region that does not answer", SEEN, || listed(&xian, "chengdu", 1).0.contains("0/1"));
        ends(&xian, &["reconcile", "--report", "--without", "chengdu"], 0);
        migrations_do_without_it(&xian);
        is_refused(&xian, &["region", "retire", "chengdu", "--confirm", "chongqing"], "--confirm");
        is_refused(&xian, &["region", "retire", "xian", "--confirm", "xian"], "run it in a region that stays");
        assert!(has_gauge(&readers[0], "cache_region_lag_seconds") && has_gauge(&writers[0], "marks_waiting"));
        let printed = killed_at_each_step(&xian, &retire, &RETIRE);
        assert!(printed.contains("chengdu was followed to 20"), "{printed}");
        assert_eq!(ends(&xian, &retire, 0).0, printed, "a repetition");
        for (process, gauge) in [(&readers[0], "cache_region_lag_seconds"), (&writers[0], "marks_waiting")] {
            until("the gauge of a retired region to end", SEEN, || !has_gauge(process, gauge));
        }
        assert!(listed(&xian, "chengdu", 0).0.contains("retired since"));
        ends(&xian, &["reconcile", "--report"], 0);
        let audit = writers[0].http().get(&format!("{}/audit", writers[0].admin_url()), "");
        assert!(audit.text().contains("\"kind\":\"region_retired\""), "{}", audit.text());

        cluster.node(2, 1).start();
        is_fenced(&survivor, &readers[1], &chengdu, &clients.people[0].1, moments[1]);
        until("xian to see that it is back", SEEN, || {
            writers[0].metric("retired_region_nodes_up", &["region=\"chengdu\""]) == 1.0
        });
        assert!(listed(&xian, "chengdu", 1).1.contains("yima region rejoin chengdu"));
        is_refused(&xian, &["region", "rejoin", "chengdu"], "on a machine of chengdu");
        let rejoin = ["region", "rejoin", "chengdu"];
        let printed = killed_at_each_step(&chengdu, &rejoin, &REJOIN);
        assert!(printed.contains("chengdu is active again"), "{printed}");
        assert!(ends(&chengdu, &rejoin, 0).0.contains("nothing to do"));
        readers[1].kill9();
        writers[1].start_again();
        readers[1].start_again();
        ends(&xian, &["reconcile"], 0);
        let (output, _, stderr) = run(&chengdu, Some("alone"), &["migrate"], None);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        thread::sleep(TRAFFIC);
        clients.stop.store(true, Ordering::SeqCst);
    });
    let [cut_at, lost_at] = moments[..] else { panic!("two moments") };
    let of_region = |region: usize, from, to| {
        let events = record.acknowledged.iter().filter(|event| event.region == region);
        events.filter(|event| event.at > from && event.at < to).count()
    };
    let (unsent, meanwhile) = (of_region(1, cut_at, lost_at), of_region(0, lost_at, now()));
    eprintln!("{unsent} events only in the lost region, {meanwhile} acknowledged by the other one since");
    assert!(unsent > 0 && meanwhile > 0);
    let mut record = quiesce(&clients, record);
    converge(&clients, &mut record, HEALED);
    record.check(BOUND);
    let stored = [&xian, &chengdu].map(RegionStore::open);
    assert_same_folds(&[&stored[0], &stored[1]], &clients.people, &record.acknowledged);
    assert!(listed(&xian, "chengdu", 0).0.contains("active"));
}
