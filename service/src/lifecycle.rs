//! Start and stop: every task is tracked, and all processes stop in the same order.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use schemars::JsonSchema;
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::ready::Readiness;

/// Stopping.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct LifecycleConfig {
    /// From "not ready" to the end of accepting. Time for the balancer to notice: more than its health check interval ×
    /// threshold. 0 where there is no balancer.
    #[serde(rename = "drain_wait_ms", with = "config::Ms")]
    pub drain_wait: Duration,
    /// Time for requests and folds under way once nothing is accepted any more; then they are dropped. Together with
    /// `drain_wait_ms` below the time after which the supervisor kills (30 s in most).
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
    /// By request, after every task had finished.
    Requested,
    /// The named critical task panicked, or ended while it was still needed.
    Crashed(&'static str),
    /// By request, but the deadline or a second signal dropped tasks under way.
    Deadline,
}

impl Ended {
    /// 0 by request, 1 after a crash, 2 when tasks were dropped.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Crashed(_) => 1,
            Self::Deadline => 2,
        }
    }
}

/// SIGINT and SIGTERM, which end the process at once until this exists: to be made before the process is ready.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The system's.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The lifecycle of one process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    config: LifecycleConfig,
    readiness: Readiness,
    tasks: TaskTracker,
    stop_requested: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    crashed: Arc<OnceLock<&'static str>>,
}

impl Lifecycle {
    /// A running process; it is ready once no part holds [`Self::readiness`].
    pub fn new(config: LifecycleConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The latch that the admin port reports.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Cancelled at the soft stop: no new work begins, accept loops and periodic tasks end.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled at the hard stop: work under way is dropped. Never before [`Self::soft`].
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// The tasks that stopping waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Runs a task that is not critical: a panic is logged and the process goes on. Dropped at the hard stop.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            let caught = AssertUnwindSafe(task).catch_unwind();
            if let Some(Err(_)) = hard.run_until_cancelled_owned(caught).await {
                tracing::error!(task = name, "a task panicked; the process goes on without it");
            }
        });
    }

    /// Runs a critical task: if it panics, or ends before the soft stop, the process stops as after a signal and
    /// [`Ended::Crashed`] names the task. Dropped at the hard stop.
    pub fn spawn_critical(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let life = self.clone();
        self.tasks.spawn(async move {
            let caught = AssertUnwindSafe(task).catch_unwind();
            let ended = life.hard.run_until_cancelled(caught).await;
            let panicked = matches!(ended, Some(Err(_)));
            let too_early = ended.is_some() && !life.soft.is_cancelled();
            if panicked || too_early {
                tracing::error!(task = name, panicked, "a critical task ended; the process stops");
                let _first_one_counts = life.crashed.set(name);
                life.stop_requested.cancel();
            }
        });
    }

    /// [`Self::spawn`] for a task that never ends by itself: the soft stop ends it wherever it waits.
    pub fn spawn_until_stop(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, until(self.soft.clone(), task));
    }

    /// [`Self::spawn_critical`] for a task that never ends by itself: the soft stop ends it wherever it waits.
    pub fn spawn_critical_until_stop(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_critical(name, until(self.soft.clone(), task));
    }

    /// Stops as the first signal does.
    pub fn stop(&self) {
        self.stop_requested.cancel();
    }

    /// Tells the service manager, if there is one that expects it (systemd's `Type=notify`), that everything is up.
    /// Then runs until SIGINT, SIGTERM, [`Self::stop`] or a crash; then: not ready, wait for the balancer, soft stop,
    /// wait for the tasks. The deadline or a second signal is the hard stop. The caller then closes the parts that need
    /// an order (position, cache, telemetry).
    pub async fn run_until_stopped(&self, mut signals: Signals) -> Ended {
        notify_manager(&[NotifyState::Ready]);
        tokio::select! {
            () = signals.next() => self.stop(),
            () = self.stop_requested.cancelled() => {}
        }
        tracing::info!(waiting_s = self.config.drain_wait.as_secs(), "stopping; not ready from now on");
        notify_manager(&[NotifyState::Stopping]);
        self.readiness.stopping();
        let finished = tokio::select! {
            finished = self.stop_softly() => finished,
            () = signals.next() => false,
        };
        self.soft.cancel();
        self.hard.cancel();
        // Each task is dropped at its next poll; the timeout is for tasks that block their thread.
        self.tasks.close();
        let _dropped = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        let ended = match self.crashed.get() {
            Some(name) => Ended::Crashed(name),
            None if finished => Ended::Requested,
            None => Ended::Deadline,
        };
        tracing::info!(?ended, "stopped");
        ended
    }

    /// The part of stopping that a second signal cuts short. Returns whether every task finished before the deadline.
    async fn stop_softly(&self) -> bool {
        tokio::time::sleep(self.config.drain_wait).await;
        self.soft.cancel();
        self.tasks.close();
        tokio::time::timeout(self.config.stop_deadline, self.tasks.wait()).await.is_ok()
    }
}

/// On the heap: without optimisation each poll reserves stack for a task passed by value, and some tasks are large.
fn until(stop: CancellationToken, task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
    let task = Box::pin(task);
    async move {
        stop.run_until_cancelled_owned(task).await;
    }
}

fn notify_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be notified; it may take this process for hung");
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
    async fn a_stop_is_first_not_ready_then_soft_and_waits_for_tasks() {
        let life = life();
        let soft = life.soft().clone();
        let readiness = life.readiness().clone();
        life.spawn("drain", async move {
            soft.cancelled().await;
            assert!(!readiness.is_ready(), "not ready comes before the soft stop");
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
        life.stop();
        assert_eq!(life.run_until_stopped(Signals::install().unwrap()).await, Ended::Requested);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_over_the_deadline_is_dropped() {
        let life = life();
        life.spawn("stuck", std::future::pending());
        life.stop();
        assert_eq!(life.run_until_stopped(Signals::install().unwrap()).await, Ended::Deadline);
        assert!(life.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_task_that_panics_or_ends_stops_the_process() {
        for ending in [true, false] {
            let life = life();
            life.spawn_critical("follower", async move { assert!(ending, "a panic of the test") });
            assert_eq!(life.run_until_stopped(Signals::install().unwrap()).await, Ended::Crashed("follower"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_not_critical_may_end_or_panic() {
        let life = life();
        life.spawn("panics", async { panic!("a panic of the test") });
        life.spawn_until_stop("sweep", std::future::pending());
        life.spawn_critical_until_stop("follower", std::future::pending());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!life.soft().is_cancelled());
        life.stop();
        assert_eq!(life.run_until_stopped(Signals::install().unwrap()).await, Ended::Requested);
    }
}
