//! What each metric means: the source of the HELP lines of `/metrics` and of the table in `docs/metrics.md`.

use std::fmt::Write;

/// How a metric behaves (Prometheus metric types).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only rises, until the process restarts.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// One metric of a crate.
#[derive(Clone, Copy, Debug)]
pub struct MetricDescription {
    /// Name as exported, with its unit.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// Label names; their values come from small enums.
    pub labels: &'static [&'static str],
    /// One sentence: the events or the quantity, and the unit.
    pub help: &'static str,
}

impl MetricKind {
    /// As Prometheus writes it in `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Registers the HELP text of each metric. To be called once, after the recorder is installed.
pub fn describe(metrics: &[MetricDescription]) {
    for MetricDescription { name, kind, help, .. } in metrics {
        match kind {
            MetricKind::Counter => metrics::describe_counter!(*name, *help),
            MetricKind::Gauge => metrics::describe_gauge!(*name, *help),
            MetricKind::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}

/// A Markdown table of metrics, in the order of their names.
pub fn reference(metrics: &[MetricDescription]) -> String {
    let mut sorted = metrics.to_vec();
    sorted.sort_by_key(|metric| metric.name);
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for MetricDescription { name, kind, labels, help } in sorted {
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let help = help.trim_end_matches('.').replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {} | {labels} | {help} |", kind.as_str());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::METRICS;
    use super::*;

    #[test]
    fn the_reference_has_a_row_for_each_metric_sorted_by_name() {
        let gauge =
            |name| MetricDescription { name, kind: MetricKind::Gauge, labels: &["a", "b"], help: "Either | or." };
        let table = reference(&[gauge("b_bytes"), gauge("a_bytes")]);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["| `a_bytes` | gauge | a, b | Either \\| or |", "| `b_bytes` | gauge | a, b | Either \\| or |"]
        );
    }

    #[test]
    fn a_name_says_whether_a_metric_is_a_counter() {
        for MetricDescription { name, kind, .. } in METRICS {
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
        }
    }
}
