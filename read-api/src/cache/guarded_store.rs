//! The store as loads and the audit reach it: calls are bounded in number and time, and refused while the circuit
//! breaker is open.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use yima_schema::subject::SubjectId;
use yima_store::{StoreError, VersionedView, ViewReader};

use super::circuit_breaker::{BreakerState, CircuitBreaker};
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
        Self { store, limits: ArcSwap::from_pointee(Limits::new(config)), breaker: CircuitBreaker::default() }
    }

    /// Applies other limits to calls that begin from now on; calls under way keep theirs.
    pub fn tune(&self, config: &CacheConfig) {
        self.limits.store(Arc::new(Limits::new(config)));
    }

    /// The state of the circuit breaker.
    pub fn breaker_state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// The views of these subjects, in the order given, with one call of the store.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn lookup(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>, LoadError> {
        match *subjects {
            [] => Ok(Vec::new()),
            [subject] => self.call(self.store.lookup(subject)).await.map(|view| vec![view]),
            _ => self.call(self.store.lookup_many(subjects)).await,
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, LoadError> {
        let limits = self.limits.load_full();
        let Ok(_admitted) = limits.admitted.try_acquire() else { return Err(LoadError::Throttled) };
        let called = tokio::time::timeout(limits.timeout, async {
            let _concurrent = limits.concurrent.acquire().await.map_err(|_| LoadError::Unavailable)?;
            let Some(permit) = self.breaker.try_acquire(Instant::now(), limits.timeout / 2) else {
                return Err(LoadError::Throttled);
            };
            let result = call.await.map_err(|error| load_error(&error));
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
