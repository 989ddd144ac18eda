//! Every alert queries exported metrics, has its section in the runbook, and fires when it should.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use yima_harness::{CertificateFiles, Options, Yima, new_person};
use yima_schema::time::HOUR;

use crate::auditor;
use crate::dashboard::{exported, selected};

/// Metrics that need several regions, a disk tier or a real identity provider; these nodes have none of them.
const NOT_HERE: [&str; 5] = [
    "cache_audit_findings_total",
    "cache_region_lag_seconds",
    "identity_provider_up",
    "marks_total",
    "retired_region_nodes_up",
];
/// The parts of each section of the runbook, in this order.
const PARTS: [&str; 4] = ["\n**Means.** ", "\n**Look at.** ", "\n**Do.** ", "\n**Over when.** "];

fn read(file: &str) -> String {
    let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of a key in the alert rules, each on a line of its own.
fn values(key: &str) -> Vec<String> {
    let rules = read("deploy/multi-region/alerts.yml");
    let lines = rules.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(&format!("{key}: "))).map(str::to_owned).collect()
}

/// Metrics of yima that the rules query. `up` is Prometheus' own; constants query none, and what begins with `slo:` is
/// recorded by other rules.
pub fn queried() -> BTreeSet<String> {
    let queries = values("expr").into_iter().filter(|query| !query.starts_with("vector(") && !query.contains("slo:"));
    queries.flat_map(|query| selected(&query)).filter(|name| name != "up").collect()
}

#[test]
fn alerts_query_only_exported_metrics() {
    let (plain, person) = (Yima::start(Options::default()), new_person());
    plain.event(&plain.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    plain.display(&plain.session_of(&person));
    let options = Options::default();
    let secure = Yima::start(CertificateFiles::make(options.directory(), 2099).apply_to(options));
    let auditor = auditor::start(&plain, &format!("[{{ url = '{}' }}]", plain.read_url()), &[]);
    let exported: BTreeSet<String> = [&plain, &secure, &auditor].into_iter().flat_map(exported).collect();
    let missing: Vec<_> = queried().difference(&exported).cloned().collect();
    assert_eq!(missing, NOT_HERE, "queried and not exported");
    assert_eq!(plain.metric("process_ready", &[]), 1.0);
}

#[test]
fn each_alert_has_a_runbook_section_and_each_section_an_alert() {
    let (alerts, links) = (values("alert"), values("runbook_url"));
    let expressions = values("expr").len() - values("record").len();
    assert!(alerts.len() >= 10 && expressions == alerts.len() && values("summary").len() == alerts.len());
    let expected: Vec<String> = alerts.iter().map(|name| format!("docs/runbook.md#{}", name.to_lowercase())).collect();
    assert_eq!(links, expected);
    let runbook = read("docs/runbook.md");
    let sections: Vec<(&str, &str)> =
        runbook.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    assert_eq!(sections.iter().map(|(title, _)| *title).collect::<Vec<_>>(), alerts);
    for (title, section) in sections {
        let places: Vec<_> = PARTS.iter().map(|part| section.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{title}: {places:?}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    for (action, file) in
        [("check", "deploy/multi-region/alerts.yml"), ("test", "tests/end-to-end/fixtures/alerts.yml")]
    {
        let file = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("promtool").args([action, "rules", &file]).output().expect("promtool can be run");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "promtool {action} rules {file}:\n{text}");
    }
}
