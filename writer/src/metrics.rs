//! The metrics of this crate.

use yima_service::telemetry::{MetricDescription, MetricKind};

/// All metrics that this crate emits.
pub const METRICS: &[MetricDescription] = &[
    MetricDescription {
        name: "agency_events_total",
        kind: MetricKind::Counter,
        labels: &["agency", "kind"],
        help: "Accepted events by agency and kind; `other` beyond 200 agencies",
    },
    MetricDescription {
        name: "agency_restrictions_total",
        kind: MetricKind::Counter,
        labels: &["agency", "outcome"],
        help: "Events that restrict a person (positive results, restricting assignments, deaths) by agency: `accepted`; \
               `capped` by the agency's quota a minute; `other` beyond 200 agencies",
    },
    MetricDescription {
        name: "dead_letters_total",
        kind: MetricKind::Counter,
        labels: &["outcome"],
        help: "Rows with a result that is or may be positive and is not understood: `kept` as dead letters; `dropped`, \
               beyond 1,000 a day of one agency; `replayed` and removed",
    },
    MetricDescription {
        name: "events_total",
        kind: MetricKind::Counter,
        labels: &["status"],
        help: "Rows from agencies by result: `accepted`, `duplicate`, `ignored`, `rejected` for their content, \
               `not_taken` for lack of disk space or because the store failed",
    },
    MetricDescription {
        name: "citizen_events_total",
        kind: MetricKind::Counter,
        labels: &["kind", "status"],
        help: "Events that citizens wrote about themselves, such as the end of a session, by result: `accepted`, \
               `duplicate`, `rejected`, `not_taken` for lack of disk space or because the store failed",
    },
    MetricDescription {
        name: "marks_total",
        kind: MetricKind::Counter,
        labels: &["region", "outcome"],
        help: "CQL: marks of other regions and of dead writers by outcome: `folded`; `fetched` from the source region, \
               then folded; `void`: the event does not exist; `missed`: expired unread, run `yima reconcile`; \
               `corrupt`: the subject cannot be read",
    },
    MetricDescription {
        name: "marks_waiting",
        kind: MetricKind::Gauge,
        labels: &["region"],
        help: "CQL: marks that were read and are not folded yet",
    },
    MetricDescription {
        name: "offline_bundle_releases_total",
        kind: MetricKind::Counter,
        labels: &["outcome"],
        help: "Releases of the offline bundle that this writer tried: `released`; `superseded` by another writer's; \
               `failed`, tried again after a second",
    },
    MetricDescription {
        name: "refold_done_ratio",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Part of all subjects that the refold after a change of rules or program has scanned, 0 to 1; on the \
               writer that runs it",
    },
    MetricDescription {
        name: "refold_subjects_total",
        kind: MetricKind::Counter,
        labels: &[],
        help: "Subjects folded again because of a change of rules or program",
    },
    MetricDescription {
        name: "unread_positives_total",
        kind: MetricKind::Counter,
        labels: &["code"],
        help: "Results that are or may be positive and were rejected because they are not understood, by the LOINC code \
               of the test; `other` without one, and beyond 100 codes",
    },
    MetricDescription {
        name: "writer_file_accepted",
        kind: MetricKind::Gauge,
        labels: &["file"],
        help: "1 if the content of the operator's file is in force, 0 after a change that was refused: `codes` \
               (`writer.codes_file`), `agencies` (`writer.agencies_file`)",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Adds the names of the metrics that the sources in `dir` emit.
    fn emitted(dir: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                emitted(&path, names);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for kind in ["counter", "gauge", "histogram"] {
                let call = format!("metrics::{kind}!(\"");
                let calls = source.split(&call).skip(1);
                names.extend(calls.filter_map(|call| call.split('"').next()).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_emitted_metric_is_described() {
        let mut names = BTreeSet::new();
        emitted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        assert_eq!(names, METRICS.iter().map(|metric| metric.name.to_owned()).collect());
    }
}
