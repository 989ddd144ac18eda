//! Utilization: the share of time for which the runtime's workers were busy; and queueing delay: how long work that is
//! ready waits for a worker. That wait is part of no request's own time, and grows without bound as utilization
//! approaches 1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;

use crate::levels::Measured;
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Weight of the newest sample in the average, which covers about a second.
const NEWEST: f32 = 0.1;

/// Between two probes of the queueing delay.
const PROBE_EVERY: Duration = Duration::from_millis(10);
/// A timer fires up to this much late without any queue: tokio's timers have whole milliseconds.
const TIMER_STEP: Duration = Duration::from_millis(1);
/// Weight of a probe that was not late. One that was counts for all that were due meanwhile: a long queue is not noticed
/// later than a short one.
const NEWEST_PROBE: f32 = 0.05;
/// A longer delay counts as this: a machine that stood still is no overload.
const LONGEST: Duration = Duration::from_secs(1);

/// Moving averages, of utilization over about the last second, of queueing delay over about the last fifth of one.
#[derive(Default)]
pub struct Utilization {
    busy: AtomicU32,
    /// Seconds.
    queue_delay: AtomicU32,
}

impl Utilization {
    /// Measures the runtime that this is called in, until the soft stop. Exported as `runtime_busy_ratio` and
    /// `runtime_queue_delay_seconds`.
    pub fn watch(lifecycle: &Lifecycle, metrics: &Metrics) -> Arc<Self> {
        let utilization = Arc::new(Self::default());
        let exported = utilization.clone();
        metrics.before_scrape(move || {
            metrics::gauge!("runtime_busy_ratio").set(exported.busy());
            metrics::gauge!("runtime_queue_delay_seconds").set(exported.queue_delay().as_secs_f64());
        });
        let measured = utilization.clone();
        let measure = async move { measured.measure(&Handle::current().metrics()).await };
        lifecycle.spawn_until_stop("utilization", measure);
        let probed = utilization.clone();
        lifecycle.spawn_until_stop("queueing delay", async move { probed.probe().await });
        utilization
    }

    /// From 0 (idle) to 1 (all workers are busy all the time).
    pub fn busy(&self) -> f32 {
        f32::from_bits(self.busy.load(Ordering::Relaxed))
    }

    /// How long a task that is ready waits for a worker.
    pub fn queue_delay(&self) -> Duration {
        Duration::from_secs_f32(f32::from_bits(self.queue_delay.load(Ordering::Relaxed)))
    }

    /// Both.
    pub fn measured(&self) -> Measured {
        Measured { busy: self.busy(), queue_delay: self.queue_delay() }
    }

    /// A fixed utilization until [`Self::set`], without a queue; for tests.
    pub fn fixed(busy: f32) -> Arc<Self> {
        let fixed = Self::default();
        fixed.set(busy);
        Arc::new(fixed)
    }

    /// Sets the utilization.
    pub fn set(&self, busy: f32) {
        self.busy.store(busy.to_bits(), Ordering::Relaxed);
    }

    /// Sets the queueing delay.
    pub fn set_queue_delay(&self, delay: Duration) {
        self.queue_delay.store(delay.as_secs_f32().to_bits(), Ordering::Relaxed);
    }

    /// Measures how late timers fire. They are woken with the sockets: by the same driver, into the same queues.
    async fn probe(&self) {
        loop {
            let due = Instant::now() + PROBE_EVERY;
            tokio::time::sleep_until(due).await;
            let late = due.elapsed().saturating_sub(TIMER_STEP).min(LONGEST);
            let probes = 1.0 + late.div_duration_f32(PROBE_EVERY);
            let weight = 1.0 - (1.0 - NEWEST_PROBE).powf(probes);
            let (before, late) = (self.queue_delay().as_secs_f32(), late.as_secs_f32());
            self.set_queue_delay(Duration::from_secs_f32(before + weight * (late - before)));
        }
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
    async fn work_that_waits_for_a_worker_is_a_queueing_delay() {
        let utilization = Arc::new(Utilization::default());
        let probed = utilization.clone();
        let probe = tokio::spawn(async move { probed.probe().await });
        let (deadline, awaited) = (Instant::now() + Duration::from_secs(60), Duration::from_millis(10));
        let measured = utilization.clone();
        let hogs = (0..4).map(|_| {
            let utilization = measured.clone();
            tokio::spawn(async move {
                while utilization.queue_delay() < awaited && Instant::now() < deadline {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_millis(10) {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        futures::future::join_all(hogs).await;
        assert!(utilization.queue_delay() >= awaited, "{:?}", utilization.queue_delay());
        while utilization.queue_delay() > Duration::from_millis(5) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await; // idle meanwhile
        }
        assert!(utilization.queue_delay() <= Duration::from_millis(5), "{:?}", utilization.queue_delay());
        probe.abort();
    }

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
