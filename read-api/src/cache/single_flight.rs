//! Single flight: one per subject at a time however many wait; a waiter that goes away does not end it. What they ask of the store is bounded in
//! number and time, and is not asked while the breaker is open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument;
use yima_schema::subject::SubjectId;
use yima_store::StoreError;

use super::circuit_breaker::{Breaker, BreakerState};
use super::entry::Entry;
use crate::config::CacheConfig;

/// Why a load gave nothing. Shared by all who waited, never cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// The store cannot answer now.
    Unavailable,
    /// The store was not asked: it is left alone, or too many loads are waiting for it.
    Throttled,
    /// The store's answer cannot be read.
    Corrupt,
}

/// Where a load looks first, and where its entry came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Memory: another load ended between a look there and this one.
    Memory,
    /// The disk tier.
    Disk,
    /// The store.
    Store,
}

/// What a load brings.
pub type Loaded = Result<(Arc<Entry>, Origin), LoadError>;

/// A load under way, for anyone who waits for it.
pub type Waiter = Shared<BoxFuture<'static, Loaded>>;

/// Loads under way.
pub struct SingleFlight {
    under_way: Mutex<HashMap<SubjectId, Waiter>>,
    limits: ArcSwap<Limits>,
    breaker: Breaker,
}

/// Of what is asked of the store.
struct Limits {
    permits: Semaphore,
    queue: Semaphore,
    timeout: Duration,
}

impl Limits {
    fn new(config: &CacheConfig) -> Self {
        Self {
            permits: Semaphore::new(config.concurrent_loads),
            queue: Semaphore::new(config.concurrent_loads + config.queued_loads),
            timeout: config.load_timeout,
        }
    }
}

impl SingleFlight {
    /// At most `concurrent_loads` in the store at once and `queued_loads` waiting; each has `load_timeout` there, and is slow after half of
    /// that.
    pub fn new(config: &CacheConfig) -> Self {
        Self {
            under_way: Mutex::default(),
            limits: ArcSwap::from_pointee(Limits::new(config)),
            breaker: Breaker::default(),
        }
    }

    /// Other limits from now on; what is under way keeps its own.
    pub fn tune(&self, config: &CacheConfig) {
        self.limits.store(Arc::new(Limits::new(config)));
    }

    /// What the breaker does now.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Whether a load of that subject is under way.
    pub fn contains(&self, subject: SubjectId) -> bool {
        self.under_way.lock().contains_key(&subject)
    }

    /// Joins the loads of these subjects that are under way, and starts `load` for all the others as one task. In the order asked; the
    /// flag says whether it was joined.
    pub fn join_or_start<F>(
        self: &Arc<Self>,
        subjects: &[SubjectId],
        load: impl FnOnce(Vec<SubjectId>) -> F,
    ) -> Vec<(Waiter, bool)>
    where
        F: Future<Output = Vec<Loaded>> + Send + 'static,
    {
        let (mut started, mut answers) = (Vec::new(), Vec::new());
        let mut under_way = self.under_way.lock();
        let mut join = |subject: &SubjectId| {
            if let Some(joined) = under_way.get(subject) {
                return (joined.clone(), true);
            }
            let (answer, waiter) = oneshot::channel();
            // The task answers always, unless it panics; then its waiters are told that nothing came.
            let waiter = waiter.map(|answer| answer.unwrap_or(Err(LoadError::Unavailable))).boxed().shared();
            under_way.insert(*subject, waiter.clone());
            started.push(*subject);
            answers.push(answer);
            (waiter, false)
        };
        let waiters = subjects.iter().map(&mut join).collect();
        drop(under_way);
        if started.is_empty() {
            return waiters;
        }
        let entered = Entered { loads: Arc::clone(self), subjects: started.clone() };
        let load = load(started);
        let work = async move {
            let loaded = load.await;
            drop(entered); // before the answers: whoever comes after them starts a load of their own
            for (answer, loaded) in answers.into_iter().zip(loaded) {
                let _ = answer.send(loaded); // nobody may be waiting any more
            }
        };
        tokio::spawn(work.in_current_span());
        waiters
    }

    /// Asks the store. Waiting for one's turn is part of the time.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn ask<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, LoadError> {
        let limits = self.limits.load_full();
        let Ok(_place) = limits.queue.try_acquire() else { return Err(LoadError::Throttled) };
        let answered = tokio::time::timeout(limits.timeout, async {
            let _permit = limits.permits.acquire().await.map_err(|_| LoadError::Unavailable)?;
            let Some(pass) = self.breaker.pass(Instant::now(), limits.timeout / 2) else {
                return Err(LoadError::Throttled);
            };
            let answer = asked.await.map_err(|fault| load_error(&fault));
            pass.done(answer.as_ref().err() != Some(&LoadError::Unavailable), Instant::now());
            answer
        });
        answered.await.unwrap_or(Err(LoadError::Unavailable))
    }
}

/// What a fault of the store is to those who wait.
pub fn load_error(fault: &StoreError) -> LoadError {
    match fault {
        StoreError::Unavailable(_) | StoreError::TimedOut => {
            tracing::debug!(%fault, "a load failed");
            LoadError::Unavailable
        }
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => {
            tracing::error!(%fault, "a load failed");
            LoadError::Corrupt
        }
    }
}

/// Places in the table, given up also when the load panics.
struct Entered {
    loads: Arc<SingleFlight>,
    subjects: Vec<SubjectId>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut under_way = self.loads.under_way.lock();
        for subject in &self.subjects {
            under_way.remove(subject);
        }
    }
}
