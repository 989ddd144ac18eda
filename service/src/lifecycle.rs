//! Start and stop: every task is tracked, and one order of stopping serves every process.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use sd_notify::NotifyState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::ready::Readiness;

/// Stopping.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct LifecycleConfig {
    /// From "not ready" to the end of accepting. So the balancer notices first: more than its health check interval × threshold. 0 where
    /// there is no balancer.
    #[serde(rename = "drain_wait_ms", with = "config::Ms")]
    pub drain_wait: Duration,
    /// Time for requests and folds under way once nothing is accepted any more; then they are dropped. Together with `drain_wait_ms` below
    /// the time after which the supervisor kills (30 s in most).
    #[serde(rename = "stop_deadline_ms", with = "config::Ms")]
    pub stop_deadline: Duration,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self { drain_wait: Duration::from_secs(5), stop_deadline: Duration::from_secs(20) }
    }
}

/// How a process ended, for its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to, and every task finished.
    Asked,
    /// The named critical task panicked, or ended while it was still needed.
    Crashed(&'static str),
    /// It was asked to, but the deadline or a second signal dropped tasks that were under way.
    Deadline,
}

impl Ended {
    /// 0 when asked, 1 after a crash, 2 when tasks were dropped.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Asked => 0,
            Self::Crashed(_) => 1,
            Self::Deadline => 2,
        }
    }
}

/// One process' life. A clone is the same life.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    config: LifecycleConfig,
    readiness: Readiness,
    tasks: TaskTracker,
    asked: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    crashed: Arc<OnceLock<&'static str>>,
}

impl Lifecycle {
    /// Running, and ready once nothing holds [`Self::readiness`].
    pub fn new(config: LifecycleConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The latch that the admin port reports.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Cancelled when nothing new should be begun: accept loops and periodic tasks end.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when what is under way is dropped. Never before [`Self::soft`].
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// The tasks that stopping waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Runs a task that the process can do without: if it panics, that is logged. Dropped at the hard stop.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            let caught = AssertUnwindSafe(task).catch_unwind();
            if let Some(Err(_)) = hard.run_until_cancelled_owned(caught).await {
                tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// Runs a task that the process cannot do without: if it panics, or ends before the soft stop, the process stops as after a signal and
    /// [`Ended::Crashed`] names it. Dropped at the hard stop.
    pub fn spawn_critical(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let life = self.clone();
        self.tasks.spawn(async move {
            let caught = AssertUnwindSafe(task).catch_unwind();
            let ended = life.hard.run_until_cancelled(caught).await;
            let panicked = matches!(ended, Some(Err(_)));
            let too_early = ended.is_some() && !life.soft.is_cancelled();
            if panicked || too_early {
                tracing::error!(task = name, panicked, "a critical task ended: the process stops");
                let _first_one_counts = life.crashed.set(name);
                life.asked.cancel();
            }
        });
    }

    /// The same for a task without an end of its own, which the soft stop ends wherever it waits.
    pub fn spawn_until_stop(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, until(self.soft.clone(), task));
    }

    /// The same for a task without an end of its own that the process cannot do without.
    pub fn spawn_critical_until_stop(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_critical(name, until(self.soft.clone(), task));
    }

    /// Stops as the first signal does.
    pub fn stop(&self) {
        self.asked.cancel();
    }

    /// Tells the service manager, if there is one that asks (systemd's `Type=notify`), that everything is up. Then runs until SIGINT, SIGTERM,
    /// [`Self::stop`] or a crash; then: not ready, wait for the balancer, soft stop, wait for the tasks. The
    /// deadline or a second signal is the hard stop. What must be closed in an order of its own (position, cache, telemetry) is closed by
    /// the caller afterwards.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub async fn run_until_stopped(&self) -> std::io::Result<Ended> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut signalled = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tell(&[NotifyState::Ready]);
        tokio::select! {
            () = signalled() => self.stop(),
            () = self.asked.cancelled() => {}
        }
        tracing::info!(waiting_s = self.config.drain_wait.as_secs(), "stopping: not ready any more");
        tell(&[NotifyState::Stopping]);
        self.readiness.stopping();
        let finished = tokio::select! {
            finished = self.stop_softly() => finished,
            () = signalled() => false,
        };
        self.soft.cancel();
        self.hard.cancel();
        // Each task is dropped at its next poll; one that blocks its thread is not waited for.
        self.tasks.close();
        let _dropped = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        let ended = match self.crashed.get() {
            Some(name) => Ended::Crashed(name),
            None if finished => Ended::Asked,
            None => Ended::Deadline,
        };
        tracing::info!(?ended, "stopped");
        Ok(ended)
    }

    /// The part of stopping that a second signal cuts short; whether every task finished before the deadline.
    async fn stop_softly(&self) -> bool {
        tokio::time::sleep(self.config.drain_wait).await;
        self.soft.cancel();
        self.tasks.close();
        tokio::time::timeout(self.config.stop_deadline, self.tasks.wait()).await.is_ok()
    }
}

/// On the heap: where nothing is optimised, each poll has room on its stack for a task that is handed on, and some are large.
fn until(stop: CancellationToken, task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
    let task = Box::pin(task);
    async move {
        stop.run_until_cancelled_owned(task).await;
    }
}

fn tell(manager: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(manager) {
        tracing::warn!(%fault, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Lifecycle {
        let second = Duration::from_secs(1);
        Lifecycle::new(LifecycleConfig { drain_wait: second, stop_deadline: second })
    }

    #[tokio::test(start_paused = true)]
    async fn stops_in_order_and_waits_for_tasks() {
        let life = life();
        let soft = life.soft().clone();
        let readiness = life.readiness().clone();
        life.spawn("drain", async move {
            soft.cancelled().await;
            assert!(!readiness.is_ready(), "not ready comes before the soft stop");
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
        life.stop();
        assert_eq!(life.run_until_stopped().await.unwrap(), Ended::Asked);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_over_the_deadline_is_dropped() {
        let life = life();
        life.spawn("stuck", std::future::pending());
        life.stop();
        assert_eq!(life.run_until_stopped().await.unwrap(), Ended::Deadline);
        assert!(life.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_task_that_panics_or_ends_stops_the_process() {
        for ending in [true, false] {
            let life = life();
            life.spawn_critical("follower", async move { assert!(ending, "a panic of the test") });
            assert_eq!(life.run_until_stopped().await.unwrap(), Ended::Crashed("follower"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_tasks_may_end_or_panic() {
        let life = life();
        life.spawn("panics", async { panic!("a panic of the test") });
        life.spawn_until_stop("sweep", std::future::pending());
        life.spawn_critical_until_stop("follower", std::future::pending());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!life.soft().is_cancelled());
        life.stop();
        assert_eq!(life.run_until_stopped().await.unwrap(), Ended::Asked);
    }
}
