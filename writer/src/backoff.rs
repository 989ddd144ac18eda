//! Retries of store calls: exponential backoff with jitter.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use yima_store::StoreError;

/// Waits between the tries of a fold, without end: 50 ms, doubling to 2.5 s, plus a jitter of up to as much again, so
/// never above 5 s.
const UNLIMITED: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(2_500))
    .without_max_times()
    .with_jitter();

/// Waits between the tries of a job's store call: 8 tries within 8 to 16 s. A job that ends continues at its next
/// start.
const LIMITED: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_millis(2_500))
    .with_max_times(7)
    .with_jitter();

/// Retries until the store answers, or with an error that another try cannot mend. `on_retry` is called before each
/// wait.
///
/// # Errors
/// `Corrupt` and `Rejected` only.
pub(crate) async fn until_answered<T, W: Future<Output = Result<T, StoreError>>>(
    work: impl FnMut() -> W,
    on_retry: impl FnMut(&StoreError, Duration),
) -> Result<T, StoreError> {
    work.retry(UNLIMITED).when(is_transient).notify(on_retry).await
}

/// Retries a bounded number of times.
///
/// # Errors
/// The last try's.
pub(crate) async fn with_backoff<T, W: Future<Output = Result<T, StoreError>>>(
    work: impl FnMut() -> W,
) -> Result<T, StoreError> {
    work.retry(LIMITED).when(is_transient).await
}

/// Whether a later try can succeed.
fn is_transient(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::TimedOut => true,
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn unavailable() -> StoreError {
        StoreError::Unavailable("by a test".into())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_start_at_50_ms_and_never_exceed_5_s() {
        let (tries, waits) = (Cell::new(0), RefCell::new(Vec::new()));
        let work = || {
            tries.set(tries.get() + 1);
            std::future::ready(if tries.get() == 40 { Ok(()) } else { Err(unavailable()) })
        };
        until_answered(work, |_, wait| waits.borrow_mut().push(wait)).await.unwrap();
        let waits = waits.into_inner();
        assert_eq!(waits.len(), 39);
        assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&waits[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= Duration::from_millis(2_500)), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_gives_up_after_eight_tries_and_at_once_on_corrupt_data() {
        let tries = Cell::new(0);
        let attempt = |error: StoreError| {
            tries.set(tries.get() + 1);
            std::future::ready(Err::<(), _>(error))
        };
        with_backoff(|| attempt(unavailable())).await.unwrap_err();
        assert_eq!(tries.replace(0), 8);
        with_backoff(|| attempt(StoreError::Corrupt { table: "events", what: "by a test".into() })).await.unwrap_err();
        assert_eq!(tries.replace(0), 1);
        let rejected = until_answered(|| attempt(StoreError::Rejected("by a test".into())), |_, _| ()).await;
        assert!(matches!(rejected, Err(StoreError::Rejected(_))) && tries.get() == 1);
    }
}
