//! The metrics of this crate.

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

/// Registers the HELP text of these metrics; every other crate registers its own. To be called once, after telemetry
/// is set up.
pub fn describe_own() {
    describe(METRICS);
}
