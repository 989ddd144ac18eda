//! The store as loads and the audit reach it: calls are bounded in number and time, and refused while the circuit
//! breaker is open.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::Counter;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use yima_schema::subject::SubjectId;
use yima_store::{StoreError, VersionedView, ViewReader};

use super::circuit_breaker::{BreakerState, CircuitBreaker};
use super::single_flight::Demand;
use crate::config::CacheConfig;

/// Why a load failed. Shared by every request that waited for it, never cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LoadError {
    /// The store cannot answer now.
    Unavailable,
    /// The store was not called: the circuit breaker is open, or too many loads are queued.
    Throttled,
    /// The store refuses the call, as after a revoked permission. Needs an operator.
    Rejected,
    /// The stored view cannot be decoded. Needs an operator.
    Corrupt,
}

/// The store behind limits and a circuit breaker.
pub(super) struct GuardedStore {
    store: Arc<dyn ViewReader>,
    limits: ArcSwap<Limits>,
    breaker: CircuitBreaker,
    abandoned: Counter,
}

struct Limits {
    /// Calls at once.
    concurrent: Semaphore,
    /// Calls at once and waiting for their turn.
    admitted: Semaphore,
    /// For one call, waiting included.
    timeout: Duration,
}

impl Limits {
    fn new(config: &CacheConfig) -> Self {
        Self {
            concurrent: Semaphore::new(config.concurrent_loads),
            admitted: Semaphore::new(config.concurrent_loads + config.queued_loads),
            timeout: config.load_timeout,
        }
    }
}

impl GuardedStore {
    /// Allows `concurrent_loads` calls at once and `queued_loads` more that wait; each has `load_timeout`, and is slow
    /// after half of it.
    pub fn new(store: Arc<dyn ViewReader>, config: &CacheConfig) -> Self {
        Self {
            store,
            limits: ArcSwap::from_pointee(Limits::new(config)),
            breaker: CircuitBreaker::default(),
            abandoned: metrics::counter!("cache_loads_total", "module" => "view", "outcome" => "abandoned"),
        }
    }

    /// Applies other limits to calls that begin from now on; calls under way keep theirs.
    pub fn tune(&self, config: &CacheConfig) {
        self.limits.store(Arc::new(Limits::new(config)));
    }

    /// The state of the circuit breaker.
    pub fn breaker_state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Whether the circuit breaker refuses every call now.
    pub fn refuses(&self) -> bool {
        self.breaker.refuses(Instant::now())
    }

    /// The views of these subjects, in the order given, with one call of the store. A call for which the `demand` has
    /// ceased before its turn is not made; one that was made ends with the last deadline at the latest.
    ///
    /// # Errors
    /// See [`LoadError`]; any, which nobody waits for, when the demand is over.
    pub async fn lookup(
        &self,
        subjects: &[SubjectId],
        demand: Option<&Demand>,
    ) -> Result<Vec<Option<VersionedView>>, LoadError> {
        match *subjects {
            [] => Ok(Vec::new()),
            [subject] => self.call(self.store.lookup(subject), demand).await.map(|view| vec![view]),
            _ => self.call(self.store.lookup_many(subjects), demand).await,
        }
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
        demand: Option<&Demand>,
    ) -> Result<T, LoadError> {
        let limits = self.limits.load_full();
        let Ok(_admitted) = limits.admitted.try_acquire() else { return Err(LoadError::Throttled) };
        let called = tokio::time::timeout(limits.timeout, async {
            let _concurrent = tokio::select! {
                biased;
                () = over(demand.map(Demand::ceased)) => {
                    self.abandoned.increment(1);
                    return Err(LoadError::Unavailable);
                }
                concurrent = limits.concurrent.acquire() => concurrent.map_err(|_| LoadError::Unavailable)?,
            };
            let Some(permit) = self.breaker.try_acquire(Instant::now(), limits.timeout / 2) else {
                return Err(LoadError::Throttled);
            };
            // A call whose requests have left goes on: the store works on it all the same, and would get one more in
            // its place.
            let result = tokio::select! {
                result = call => result.map_err(|error| load_error(&error)),
                () = over(demand.map(Demand::expired)) => {
                    self.abandoned.increment(1);
                    return Err(LoadError::Unavailable);
                }
            };
            let succeeded = match result {
                Ok(_) | Err(LoadError::Corrupt | LoadError::Throttled) => true,
                Err(LoadError::Unavailable | LoadError::Rejected) => false,
            };
            permit.record(succeeded, Instant::now());
            result
        });
        called.await.unwrap_or(Err(LoadError::Unavailable))
    }
}

/// Without a demand, a call is wanted whatever happens.
async fn over(demand_is_over: Option<impl Future<Output = ()>>) {
    match demand_is_over {
        Some(demand_is_over) => demand_is_over.await,
        None => std::future::pending().await,
    }
}

/// Logs an error of the store, and maps it to the error that waiting requests get.
pub(super) fn load_error(error: &StoreError) -> LoadError {
    match error {
        StoreError::Unavailable(_) | StoreError::TimedOut => {
            tracing::debug!(%error, "a load failed");
            LoadError::Unavailable
        }
        StoreError::Corrupt { .. } => {
            tracing::error!(%error, "a load failed: the stored view cannot be decoded");
            LoadError::Corrupt
        }
        StoreError::Rejected(_) => {
            tracing::error!(%error, "a load failed: the store refuses the call");
            LoadError::Rejected
        }
    }
}
