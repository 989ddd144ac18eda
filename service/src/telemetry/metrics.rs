//! Prometheus metrics: the recorder, and the gauges that are set at each scrape.

use std::sync::Arc;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

use super::{METRICS, describe, process};
use crate::clock::now;

/// Upper bounds of every histogram of seconds: 100 µs to 10 s.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Gather = Box<dyn Fn() + Send>;

/// The metrics of this process. A clone shows the same.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    gather: Arc<Mutex<Vec<Gather>>>,
}

impl Metrics {
    /// Installs this process' recorder. Histograms whose name ends in `_seconds` have buckets, any other is a summary.
    pub(super) fn install() -> Result<Self, BuildError> {
        let builder =
            PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        let metrics = Self { handle: builder.install_recorder()?, gather: Arc::default() };
        describe(METRICS);
        metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        metrics::gauge!("process_start_time_seconds").set(now().as_millis() as f64 / 1_000.0);
        metrics.before_scrape(process::record);
        Ok(metrics)
    }

    /// Runs `gather` before each scrape: for gauges of values that exist elsewhere (sizes, queues). It should take
    /// microseconds.
    pub fn before_scrape(&self, gather: impl Fn() + Send + 'static) {
        self.gather.lock().push(Box::new(gather));
    }

    /// All metrics in Prometheus' text format 0.0.4. The recorder forgets no gauge: one that was set to NaN is about
    /// something that no longer exists, and is left out.
    pub fn render(&self) -> String {
        for gather in self.gather.lock().iter() {
            gather();
        }
        let rendered = self.handle.render();
        let values = rendered.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(" NaN"));
        values.collect::<String>() + &process::cpu_seconds_total()
    }

    /// Folds the samples of histograms into their buckets.
    pub(super) fn fold(&self) {
        self.handle.run_upkeep();
    }
}
