//! The metrics of this crate, and those of all crates together.

use yima_service::telemetry::{MetricDescription, MetricKind, describe};

/// Every metric that this crate emits.
pub const METRICS: &[MetricDescription] = &[
    MetricDescription {
        name: "backup_as_of_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Embedded store: as_of of the last backup that its receiver has completely on disk, Unix time in \
               seconds; 0 before the first one since the start",
    },
    MetricDescription {
        name: "store_takes_writes",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Embedded store: 1 while it takes writes, 0 after a failed write, until it is opened again",
    },
];

/// Every metric of a yima process, crate by crate.
pub fn all_metrics() -> Vec<MetricDescription> {
    // One element per crate.
    [METRICS].concat()
}

/// Registers the HELP text of every metric. To be called once, after telemetry is set up.
pub fn describe_all() {
    describe(&all_metrics());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_described_once() {
        let metrics = all_metrics();
        let names: BTreeSet<_> = metrics.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), metrics.len());
        assert!(metrics.iter().all(|metric| !metric.help.is_empty()));
    }
}
