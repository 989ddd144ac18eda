//! `yima audit` on CQL: read nodes apart, one with a memory tier alone, one that follows slowly and then hangs.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use yima_harness::{Region, Yima, new_person, until};
use yima_schema::time::HOUR;

use crate::auditor::{inconsistencies, windows};
use crate::cql::cluster;

const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_node_that_lags_falls_in_the_short_windows_and_one_that_hangs_in_all_of_them() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "audited", yima_harness::checker::options());
    let writer = region.writer(&[]);
    let memory_only = region.reader(&[("YIMA_READ_API__CACHE__DISK_BYTES", "0")]);
    let (poll, lag) = (("YIMA_READ_API__CACHE__POLL_MS", "6000"), ("YIMA_READ_API__CACHE__MAX_LAG_MS", "20000"));
    let slow = region.reader(&[poll, lag]);
    let nodes = format!(
        "[{{ url = '{}', name = 'memory' }}, {{ url = '{}', name = 'slow' }}]",
        memory_only.read_url(),
        slow.read_url()
    );
    let options = region.options().clone().command_line(&["--store", "cql", "audit"]);
    let options = options.env("YIMA_AUDIT__NODES", nodes).env("YIMA_AUDIT__CHANGES_PER_S", 5);
    let mut auditor = Yima::start(options.env("YIMA_AUDIT__CANARY__WRITER", writer.writer_url()));
    let scrape = || auditor.http().get(&format!("{}/metrics", auditor.admin_url()), "").text().to_owned();
    let count = |node, source, window, outcome| {
        windows(&auditor, &[("node", node), ("source", source), ("window", window), ("outcome", outcome)])
    };
    let (lab, sent) = (writer.agency_token("lab-7"), Cell::new(0));
    let push = || {
        sent.set(sent.get() + 1);
        let test = new_person().test(&format!("a-{}", sent.get()), "negative", HOUR);
        writer.event(&lab, &test);
    };
    // Nodes load people of whom they know nothing, so a node that is behind shows only in those that it knows: canaries
    // are about one subject for an hour.
    until("the slow node is late after a second and in time after ten", SOON, || {
        push();
        count("slow", "canary", "1", "late") >= 1.0
            && count("slow", "canary", "10", "consistent") >= 2.0
            && count("memory", "canary", "10", "consistent") >= 2.0
            && count("memory", "change", "10", "consistent") >= 5.0
            && count("memory", "person", "10", "consistent") >= 5.0
    });
    assert_eq!(count("slow", "canary", "10", "late") + count("memory", "change", "10", "late"), 0.0);

    slow.pause();
    let paused = scrape();
    until("looks without an answer", SOON, || {
        push();
        ["1", "10"].into_iter().all(|window| count("slow", "change", window, "unanswered") >= 10.0)
    });
    let later = scrape();
    let directory = auditor.options().directory().to_owned();
    let burns = |from: &str, to: &str| fires(&directory, "YimaBudgetBurnsFast", "slo=\"visible\"", from, to);
    assert!(burns(&paused, &later), "half of the looks are without an answer");
    slow.resume();
    let before = count("slow", "change", "10", "consistent");
    until("answers again", SOON, || {
        push();
        count("slow", "change", "10", "consistent") >= before + 5.0
    });
    let resumed = scrape();
    let before = count("slow", "change", "1", "consistent");
    until("a minute as before", SOON, || {
        push();
        count("slow", "change", "1", "consistent") >= before + 50.0
    });
    assert!(
        !burns(&resumed, &scrape()),
        "a canary that is late now and then costs less than the budget allows at once"
    );
    assert_eq!((inconsistencies(&auditor, "memory"), inconsistencies(&auditor, "slow")), (0.0, 0.0));
    assert_eq!(auditor.stop().code(), Some(0), "{}", auditor.stderr());
}

/// Whether an alert fires an hour later if the counts of windows go on rising as they did between two scrapes of an
/// auditor. The alert has these labels beside `alertname` and `severity`.
fn fires(directory: &Path, alert: &str, labels: &str, before: &str, after: &str) -> bool {
    let mut series = String::new();
    let counts = |scrape: &str| -> Vec<(String, f64)> {
        let samples = scrape.lines().filter(|line| line.starts_with("audit_windows_total{"));
        samples
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect()
    };
    let earlier = counts(before);
    for (name, count) in counts(after) {
        let known = earlier.iter().find(|(found, _)| *found == name).map_or(0.0, |(_, count)| *count);
        let name = name.replacen('{', "{job=\"yima\",", 1);
        series += &format!("      - {{ series: '{name}', values: '0+{}x70' }}\n", count - known);
    }
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/multi-region/alerts.yml");
    let test = format!(
        "rule_files: [{rules}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}    \
         promql_expr_test:\n      - {{ expr: 'count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",{labels}}})', \
         eval_time: 65m, exp_samples: [{{ labels: '{{}}', value: 1 }}] }}\n"
    );
    let file = directory.join("fires.yml");
    fs::write(&file, &test).expect("a file");
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output().expect("promtool can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains("exp:"), "{said}\n{test}");
    output.status.success()
}
