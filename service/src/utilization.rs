//! How busy the process is: the share of time for which the runtime's workers had something to do. What waits for a worker is in no
//! request's own time, and grows without bound as this comes near 1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;

use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Part of the newest sample in the average: about a second is remembered.
const NEWEST: f32 = 0.1;

/// The average of about the last second.
#[derive(Default)]
pub struct Utilization(AtomicU32);

impl Utilization {
    /// Of the runtime that this is called in, until the soft stop. Exported as `runtime_busy_ratio`.
    pub fn watch(lifecycle: &Lifecycle, metrics: &Metrics) -> Arc<Self> {
        let load = Arc::new(Self::default());
        let shown = load.clone();
        metrics.before_scrape(move || metrics::gauge!("runtime_busy_ratio").set(shown.busy()));
        let watched = load.clone();
        lifecycle.spawn_until_stop("load", async move { watched.follow(&Handle::current().metrics()).await });
        load
    }

    /// From 0, idle, to 1, all workers all the time.
    pub fn busy(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// As busy as that until it is [`Self::set`] otherwise; for tests of what depends on it.
    pub fn fixed(busy: f32) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(busy.to_bits())))
    }

    /// As busy as that from now on.
    pub fn set(&self, busy: f32) {
        self.0.store(busy.to_bits(), Ordering::Relaxed);
    }

    async fn follow(&self, runtime: &RuntimeMetrics) {
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
        let load = Arc::new(Utilization::default());
        let watched = load.clone();
        let follow = tokio::spawn(async move { watched.follow(&Handle::current().metrics()).await });
        let deadline = Instant::now() + Duration::from_secs(60);
        let spin = tokio::spawn({
            let load = load.clone();
            async move {
                while load.busy() < 0.7 && Instant::now() < deadline {
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_millis(2) {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        spin.await.unwrap();
        assert!(load.busy() >= 0.7, "{}", load.busy());
        while load.busy() > 0.3 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await; // idle meanwhile
        }
        assert!(load.busy() <= 0.3, "{}", load.busy());
        follow.abort();
    }
}
