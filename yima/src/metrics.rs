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
        name: "key_active_number",
        kind: MetricKind::Gauge,
        labels: &["kind"],
        help: "Read service: the active key of that kind: the first 4 bytes of an issuer's id, or the id of another key; \
               -1 without one. Nodes with different numbers have different keys",
    },
    MetricDescription {
        name: "key_active_since_seconds",
        kind: MetricKind::Gauge,
        labels: &["kind"],
        help: "Read service: since when the active key of that kind signs or seals, Unix time in seconds; 0 without one",
    },
    MetricDescription {
        name: "keys_file_accepted",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Read service: 0 when the changed keys.json was refused: the keys stay as they were",
    },
    MetricDescription {
        name: "keys_unreadable",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Read service: keys of keys.json that are or will be in use and whose file is missing or invalid here",
    },
    MetricDescription {
        name: "region_retired",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "CQL store: 1 once this process has seen that its region was retired: it takes no events and shows nothing new",
    },
    MetricDescription {
        name: "retired_region_nodes_up",
        kind: MetricKind::Gauge,
        labels: &["region"],
        help: "CQL store: nodes of a retired region's datacenter that this process is connected to; above 0 it has come \
               back",
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
