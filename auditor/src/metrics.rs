//! The metrics of this crate. All that concern a node exist, as 0, from the start: a first count is a rise.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use yima_service::telemetry::{MetricDescription, MetricKind};

use crate::display::Answer;
use crate::fact::Source;

/// Every metric that this crate emits.
pub const METRICS: &[MetricDescription] = &[
    MetricDescription {
        name: "audit_inconsistencies_total",
        kind: MetricKind::Counter,
        labels: &["source", "region", "node"],
        help: "Auditor: changes that an answer of the node lacked while its `Yima-As-Of` claimed them; each change \
               counts once a node, and stays counted; should stay 0",
    },
    MetricDescription {
        name: "audit_looks_total",
        kind: MetricKind::Counter,
        labels: &["source", "region", "node", "outcome"],
        help: "Auditor: displays asked for: `answered`, `refused` with another status than 200, `unanswered` in time",
    },
    MetricDescription {
        name: "audit_source_up",
        kind: MetricKind::Gauge,
        labels: &["source"],
        help: "Auditor: 1 while it learns of changes and people (`change`, `person`), or its last canary was accepted \
               (`canary`); without canaries that one is missing",
    },
    MetricDescription {
        name: "audit_visible_seconds",
        kind: MetricKind::Histogram,
        labels: &["source", "region", "node"],
        help: "Auditor: time from the acknowledgement of a canary, or from reading a change, to the node's first \
               answer with it",
    },
    MetricDescription {
        name: "audit_windows_total",
        kind: MetricKind::Counter,
        labels: &["source", "region", "node", "window", "outcome"],
        help: "Auditor: looks that were due 1, 10, 60 and 300 s (`window`) after a change was acknowledged: \
               `consistent` if the answer has it; `late`; `unanswered` without a display",
    },
];

/// When looks of the windows are due.
pub(crate) const WINDOWS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];

/// Whether changes and people are learnt of.
pub struct SourceUp(Gauge);

impl SourceUp {
    /// Of this source; down at first.
    pub fn new(source: Source) -> Self {
        let up = Self(gauge!("audit_source_up", "source" => source.name()));
        up.set(false);
        up
    }

    /// Up or down.
    pub fn set(&self, is_up: bool) {
        self.0.set(f64::from(u8::from(is_up)));
    }
}

/// What is counted of one node and source.
pub(crate) struct Counts {
    inconsistencies: Counter,
    answered: Counter,
    refused: Counter,
    unanswered: Counter,
    windows: [Window; 4],
    visible: Histogram,
}

/// What is counted of one window.
pub(crate) struct Window {
    pub consistent: Counter,
    pub late: Counter,
    pub unanswered: Counter,
}

impl Counts {
    pub fn new(source: Source, region: &str, node: &str) -> Self {
        let labels = [("source", source.name().to_owned()), ("region", region.to_owned()), ("node", node.to_owned())];
        let from_the_start = |counter: Counter| {
            counter.increment(0);
            counter
        };
        let look = |outcome: &'static str| {
            let labels = [&labels[..], &[("outcome", outcome.to_owned())]].concat();
            from_the_start(counter!("audit_looks_total", &labels))
        };
        let window = |length: Duration| {
            let outcome = |outcome: &str| {
                let more = [("window", length.as_secs().to_string()), ("outcome", outcome.to_owned())];
                from_the_start(counter!("audit_windows_total", &[&labels[..], &more].concat()))
            };
            Window { consistent: outcome("consistent"), late: outcome("late"), unanswered: outcome("unanswered") }
        };
        Self {
            inconsistencies: from_the_start(counter!("audit_inconsistencies_total", &labels)),
            answered: look("answered"),
            refused: look("refused"),
            unanswered: look("unanswered"),
            windows: WINDOWS.map(window),
            visible: histogram!("audit_visible_seconds", &labels),
        }
    }

    pub fn look(&self, answer: &Answer) {
        match answer {
            Answer::Display(_) => self.answered.increment(1),
            Answer::Refused => self.refused.increment(1),
            Answer::Unanswered => self.unanswered.increment(1),
        }
    }

    pub fn window(&self, n: usize) -> &Window {
        &self.windows[n]
    }

    pub fn inconsistent(&self) {
        self.inconsistencies.increment(1);
    }

    pub fn visible(&self, after: Duration) {
        self.visible.record(after.as_secs_f64());
    }
}
