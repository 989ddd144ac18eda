//! The dashboard queries exported metrics only, and shows every metric of the cache.

use std::collections::BTreeSet;

use serde_json::Value;
use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

use crate::{alerts, auditor};

/// Metrics that need several regions or a disk tier; a node on the embedded store has neither.
const ON_CQL: [&str; 6] = [
    "cache_audit_findings_total",
    "cache_audit_rounds_total",
    "cache_audit_subjects_total",
    "cache_region_lag_seconds",
    "marks_total",
    "marks_waiting",
];

/// Metrics that need TLS on a public port, the embedded store, an auditor, a real identity provider, or a region that was
/// retired.
const NOT_IN_REGIONS: [&str; 10] = [
    "audit_inconsistencies_total",
    "audit_looks_total",
    "audit_source_up",
    "audit_windows_total",
    "backup_as_of_seconds",
    "identity_provider_up",
    "retired_region_nodes_up",
    "store_takes_writes",
    "tls_certificate_expires_seconds",
    "tls_reloads_total",
];

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

/// Metrics that a query selects: the names before `{`. Every metric has a selector, so that all are of
/// the nodes that were chosen.
pub fn selected(query: &str) -> Vec<String> {
    let name = |before: &str| -> String {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let reversed: String = before.chars().rev().take_while(is_name).collect();
        reversed.chars().rev().collect()
    };
    let selected: Vec<String> = query.match_indices('{').map(|(at, _)| name(&query[..at])).collect();
    // A query without its selectors has functions, labels and numbers only.
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

/// Names of the samples in a scrape; the series of a histogram each have their own.
pub fn exported(yima: &Yima) -> BTreeSet<String> {
    let scrape = yima.http().send("GET", &format!("{}/metrics", yima.admin_url()), &[], None).expect("a whole answer");
    let lines = scrape.text().lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(['{', ' ']).next().unwrap_or_default().to_owned()).collect()
}

fn queried() -> BTreeSet<String> {
    queries().iter().flat_map(|query| selected(query)).collect()
}

/// The nodes of two regions export every metric that dashboard and alerts query, except [`NOT_IN_REGIONS`].
pub fn assert_answered_by(nodes: &[&Yima]) {
    let exported: BTreeSet<String> = nodes.iter().flat_map(|yima| exported(yima)).collect();
    let queried = &queried() | &alerts::queried();
    let missing: Vec<_> =
        queried.difference(&exported).filter(|name| !NOT_IN_REGIONS.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "queried and not exported: {missing:?}");
}

#[test]
fn dashboard_queries_only_exported_metrics_and_shows_every_cache_metric() {
    let (yima, person) = (Yima::start(Options::default()), new_person());
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    yima.display(&yima.session_of(&person));
    let auditor = auditor::start(&yima, &format!("[{{ url = '{}' }}]", yima.read_url()), &[]);
    let (shown, exported) = (queried(), &exported(&yima) | &exported(&auditor));
    let missing: Vec<_> = shown.difference(&exported).map(String::as_str).collect();
    assert_eq!(missing, ON_CQL, "queried and not exported");
    // A histogram is shown by its buckets.
    let is_histogram = |name: &str| {
        let histogram = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count"));
        histogram.is_some_and(|name| shown.contains(&format!("{name}_bucket")))
    };
    let mut unseen: Vec<_> = exported.difference(&shown).filter(|name| name.starts_with("cache_")).collect();
    unseen.retain(|name| !is_histogram(name));
    assert!(unseen.is_empty(), "exported and not shown: {unseen:?}");
}
