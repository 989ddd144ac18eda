//! Utilization: the share of time for which the runtime's workers were busy. Waiting for a worker is part of no
//! request's own time, and grows without bound as utilization approaches 1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;

use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Weight of the newest sample in the average, which covers about a second.
const NEWEST: f32 = 0.1;

/// Moving average of about the last second.
#[derive(Default)]
pub struct Utilization(AtomicU32);

impl Utilization {
    /// Measures the runtime that this is called in, until the soft stop. Exported as `runtime_busy_ratio`.
    pub fn watch(lifecycle: &Lifecycle, metrics: &Metrics) -> Arc<Self> {
        let utilization = Arc::new(Self::default());
        let exported = utilization.clone();
        metrics.before_scrape(move || metrics::gauge!("runtime_busy_ratio").set(exported.busy()));
        let measured = utilization.clone();
        let measure = async move { measured.measure(&Handle::current().metrics()).await };
        lifecycle.spawn_until_stop("utilization", measure);
        utilization
    }

    /// From 0 (idle) to 1 (all workers are busy all the time).
    pub fn busy(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// A fixed value until [`Self::set`]; for tests.
    pub fn fixed(busy: f32) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(busy.to_bits())))
    }

    /// Sets the value.
    pub fn set(&self, busy: f32) {
        self.0.store(busy.to_bits(), Ordering::Relaxed);
    }

    async fn measure(&self, runtime: &RuntimeMetrics) {
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        let mut last = (Instant::now(), busy_time(runtime));
        loop {
            ticks.tick().await;
            let now = (Instant::now(), busy_time(runtime));
            let workers = u32::try_from(runtime.num_workers()).unwrap_or(u32::MAX);
            let busy = share(now.1.saturating_sub(last.1), (now.0 - last.0) * workers);
            self.set(self.busy() + NEWEST * (busy - self.busy()));
            last = now;
        }
    }
}

fn busy_time(runtime: &RuntimeMetrics) -> Duration {
    (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum()
}

fn share(part: Duration, whole: Duration) -> f32 {
    if whole.is_zero() { 0.0 } else { part.div_duration_f32(whole).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_worker_that_spins_is_busy_and_one_that_sleeps_is_not() {
        let utilization = Arc::new(Utilization::default());
        let measured = utilization.clone();
        let measure = tokio::spawn(async move { measured.measure(&Handle::current().metrics()).await });
        let deadline = Instant::now() + Duration::from_secs(60);
        let spin = tokio::spawn({
            let utilization = utilization.clone();
            async move {
                while utilization.busy() < 0.7 && Instant::now() < deadline {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_millis(2) {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        spin.await.unwrap();
        assert!(utilization.busy() >= 0.7, "{}", utilization.busy());
        while utilization.busy() > 0.3 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await; // idle meanwhile
        }
        assert!(utilization.busy() <= 0.3, "{}", utilization.busy());
        measure.abort();
    }
}
