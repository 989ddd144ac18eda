//! What each metric means: the source of the HELP lines of `/metrics` and of the table in `docs/metrics.md`.

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
    /// One sentence: what it counts or measures, in which unit.
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
