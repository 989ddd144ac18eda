//! The dashboard asks for what there is, and shows all that the cache tells.

use std::collections::BTreeSet;

use serde_json::Value;
use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

use crate::alerts;

/// What needs several regions, or a disk tier; on the embedded store there is neither.
const ON_CQL: [&str; 8] = [
    "cache_audit_findings_total",
    "cache_audit_rounds_total",
    "cache_audit_subjects_total",
    "cache_region_lag_seconds",
    "marks_total",
    "marks_waiting",
    "refold_done_ratio",
    "refold_subjects_total",
];

/// What needs TLS on a public port, or the embedded store.
const ELSEWHERE: [&str; 4] =
    ["backup_as_of_seconds", "store_takes_writes", "tls_certificate_expires_seconds", "tls_reloads_total"];

/// Every query of the dashboard.
fn queries() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/multi-region/dashboard.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).expect("it is there")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list of panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<String> =
        targets.map(|target| target["expr"].as_str().expect("a query is a text").to_owned()).collect();
    assert!(queries.len() > 20, "{}", queries.len());
    queries
}

/// Metrics that a query names: what stands before a `{`. Each selector has one, so that all are of the nodes that were chosen.
pub fn selected(query: &str) -> Vec<String> {
    let name = |before: &str| -> String {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let reversed: String = before.chars().rev().take_while(is_name).collect();
        reversed.chars().rev().collect()
    };
    let selected: Vec<String> = query.match_indices('{').map(|(at, _)| name(&query[..at])).collect();
    // Without its selectors, a query has functions, labels and numbers only.
    let rest: String = query.split('}').map(|part| part.split('{').next().unwrap_or_default()).collect();
    assert!(!selected.is_empty() && !selected.contains(&String::new()), "{query}");
    for suffix in ["_total", "_seconds", "_bytes", "_entries", "_ratio"] {
        let found = rest.matches(suffix).count();
        assert_eq!(
            found,
            selected.iter().map(|name| name.matches(suffix).count()).sum::<usize>(),
            "{query}: no selector"
        );
    }
    selected
}

/// Metrics that a scrape brings, and what belongs to histograms by its own name.
pub fn exported(yima: &Yima) -> BTreeSet<String> {
    let scrape = yima.http().send("GET", &format!("{}/metrics", yima.admin_url()), &[], None).expect("a whole answer");
    let lines = scrape.text().lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(['{', ' ']).next().unwrap_or_default().to_owned()).collect()
}

fn names() -> BTreeSet<String> {
    queries().iter().flat_map(|query| selected(query)).collect()
}

/// Two regions tell all that it and the alerts ask for, but for what they have not.
pub fn is_answered_by(nodes: &[&Yima]) {
    let exported: BTreeSet<String> = nodes.iter().flat_map(|yima| exported(yima)).collect();
    let asked = &names() | &alerts::names();
    let missing: Vec<_> = asked.difference(&exported).filter(|name| !ELSEWHERE.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "asked for and not exported: {missing:?}");
}

#[test]
fn it_asks_for_what_is_exported_and_shows_all_that_the_cache_tells() {
    let (yima, person) = (Yima::start(Options::default()), new_person());
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    yima.display(&yima.session_of(&person));
    let (shown, exported) = (names(), exported(&yima));
    let missing: Vec<_> = shown.difference(&exported).map(String::as_str).collect();
    assert_eq!(missing, ON_CQL, "asked for and not exported");
    let unseen: Vec<_> = exported.difference(&shown).filter(|name| name.starts_with("cache_")).collect();
    assert!(unseen.is_empty(), "exported and not shown: {unseen:?}");
}
