//! The report of a run, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::class::Class;
use crate::estimate::Estimate;
use crate::figures::{Figures, Times};
use crate::phase::{Phase, Rate};
use crate::usage::Usage;

/// The report. [`std::fmt::Display`] is for an operator, JSON for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The run's seed, which repeats its arrivals.
    pub seed: u64,
    /// Threads of the generator.
    pub threads: usize,
    /// Kept connections to the read service.
    pub connections: usize,
    /// Codes that were asked for before the first phase, for the first scans. In no phase.
    pub first_codes: u64,
    /// Requests of a replayed log whose routes have no class.
    pub left_out: u64,
    /// The phases, in order.
    pub phases: Vec<PhaseReport>,
    /// From the phase with most answers that is no warm-up, if the admin port is known.
    pub estimate: Option<Estimate>,
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Its length, in seconds.
    pub seconds: f64,
    /// Not counted in the estimate.
    pub warm_up: bool,
    /// Closed loop: it sends as fast as it gets answers.
    pub closed: bool,
    /// Each class with a request, in order.
    pub classes: Vec<ClassReport>,
    /// All classes together.
    pub all: ClassReport,
    /// What the service used, if the admin port is known and answered.
    pub used: Option<Usage>,
}

/// The figures of a class. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct ClassReport {
    /// Its name; `all`.
    pub class: &'static str,
    /// Arrivals. Each is in `statuses` or in `failures`.
    pub wanted: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Arrivals a second.
    pub wanted_per_s: f64,
    /// Answers a second.
    pub answered_per_s: f64,
    /// 2xx and 304 a second.
    pub admitted_per_s: f64,
    /// From the intended moment to the answer, or to giving up: every request. In a closed loop corrected for
    /// coordinated omission.
    pub all: Percentiles,
    /// The same of 2xx and 304.
    pub admitted: Percentiles,
    /// The same of other answers.
    pub refused: Percentiles,
    /// From sending to the answer, uncorrected: what a generator reports that does not know what it omits.
    pub from_sending: Percentiles,
    /// From the intended moment to sending: a wait for a connection, or for the generator.
    pub late: Percentiles,
    /// Bytes of answers.
    pub bytes_received: u64,
}

/// Percentiles of times, in milliseconds; 0 without any.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Percentiles {
    /// Number of times.
    pub count: u64,
    /// Half of the times are at most this.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    fn of(Times(times): &Times) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        let max = times.max() as f64 / 1_000.0;
        Self { count: times.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max }
    }
}

impl PhaseReport {
    pub(crate) fn new(
        phase: &Phase,
        figures: &[Option<Box<Figures>>; Class::ALL.len()],
        connections: usize,
        used: Option<Usage>,
    ) -> Self {
        let (seconds, closed) = (phase.length.as_secs_f64(), phase.rate == Rate::Closed);
        let mut sum = Figures::default();
        figures.iter().flatten().for_each(|one| sum.add(one));
        // A client of a closed loop asks so often on average.
        let interval = closed.then(|| phase.length.mul_f64(connections as f64 / sum.answers().max(1) as f64));
        let found = Class::ALL.into_iter().zip(figures).filter_map(|(class, one)| Some((class, one.as_ref()?)));
        let classes = found.map(|(class, one)| ClassReport::new(class.name(), one, seconds, interval)).collect();
        let (name, warm_up) = (phase.name.clone(), phase.warm_up);
        Self { name, seconds, warm_up, closed, classes, all: ClassReport::new("all", &sum, seconds, interval), used }
    }

    /// The figures of a class, if it had a request.
    pub fn class(&self, class: Class) -> Option<&ClassReport> {
        self.classes.iter().find(|report| report.class == class.name())
    }
}

impl ClassReport {
    fn new(class: &'static str, figures: &Figures, seconds: f64, interval: Option<Duration>) -> Self {
        let all = figures.all();
        let all = interval.map_or_else(|| all.clone(), |interval| all.corrected(interval));
        Self {
            class,
            wanted: figures.wanted,
            sent: figures.sent,
            statuses: figures.statuses.clone(),
            failures: figures.failures.iter().map(|(failure, count)| (failure.name(), *count)).collect(),
            wanted_per_s: figures.wanted as f64 / seconds,
            answered_per_s: figures.answers() as f64 / seconds,
            admitted_per_s: figures.admitted.0.len() as f64 / seconds,
            all: Percentiles::of(&all),
            admitted: Percentiles::of(&figures.admitted),
            refused: Percentiles::of(&figures.refused),
            from_sending: Percentiles::of(&figures.from_sending),
            late: Percentiles::of(&figures.late),
            bytes_received: figures.bytes_received,
        }
    }
}
