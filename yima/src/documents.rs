//! Parts of `docs/` that are generated: a test compares them, and rewrites them when `UPDATE_DOCS=1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use yima_service::telemetry::{self, MetricDescription};

use crate::metrics;

/// Compares the part `name` of a document, between `<!-- generated: NAME -->` and `<!-- /generated -->`, with `text`.
pub fn assert_generated(document: &str, name: &str, text: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(document);
    let whole = fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- generated: {name} -->\n\n");
    let (before, rest) = whole.split_once(&begin).unwrap_or_else(|| panic!("{document} has no {begin}"));
    let (found, after) = rest.split_once("<!-- /generated -->").expect("a generated part has an end");
    if found == text {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(&path, format!("{before}{begin}{text}<!-- /generated -->{after}")).unwrap();
    }
    let differing = found.lines().zip(text.lines()).find(|(found, wanted)| found != wanted);
    panic!("docs/{document} is not up to date, run UPDATE_DOCS=1 cargo test -p yima; first difference: {differing:#?}");
}

/// Every metric of a yima process, crate by crate.
fn all_metrics() -> Vec<MetricDescription> {
    [telemetry::METRICS, yima_read_api::METRICS, yima_writer::METRICS, yima_auditor::METRICS, metrics::METRICS].concat()
}

#[test]
fn the_reference_of_metrics_is_the_one_in_the_documentation() {
    assert_generated("metrics.md", "metrics", &(telemetry::reference(&all_metrics()) + "\n"));
}

#[test]
fn every_metric_is_described_once() {
    let metrics = all_metrics();
    let names: BTreeSet<_> = metrics.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), metrics.len());
    assert!(metrics.iter().all(|metric| !metric.help.is_empty()));
}
