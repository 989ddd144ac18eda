//! Retries the steps that must be finished once they have started.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::{Result, StoreError};

/// 50 ms doubling to 1 s, each with a jitter that up to doubles it: writers do not retry in step after an outage.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_factor(2.0)
    .with_max_delay(Duration::from_secs(1))
    .with_jitter()
    .without_max_times();

/// Repeats an idempotent step until it succeeds, whatever its error.
pub(super) async fn retry_forever<T, F>(table: &'static str, step: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T>>,
{
    let warn = |error: &StoreError, wait: Duration| {
        tracing::warn!(%error, table, wait_ms = wait.as_millis() as u64, "a write failed; repeated until it succeeds");
    };
    loop {
        // The backoff has no end, so one retry returns only with a success.
        if let Ok(done) = (&step).retry(BACKOFF).notify(warn).await {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn the_backoff_doubles_to_its_bound_and_has_no_end() {
        let waits: Vec<_> = BACKOFF.build().take(1_000).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits.len(), 1_000);
        for (wait, base) in waits.iter().zip([50, 100, 200, 400, 800].into_iter().chain(std::iter::repeat(1_000))) {
            assert!((base..=2 * base).contains(wait), "{wait} ms where {base} to twice that were expected");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_error_is_retried() {
        let errors = [
            StoreError::Unavailable(String::new()),
            StoreError::TimedOut,
            StoreError::Corrupt { table: "marks", what: String::new() },
            StoreError::Rejected(String::new()),
        ];
        for error in errors {
            let attempts = AtomicU32::new(0);
            let attempts = &attempts;
            let step = || {
                let error = error.clone();
                async move { if attempts.fetch_add(1, Ordering::Relaxed) == 0 { Err(error) } else { Ok(()) } }
            };
            retry_forever("marks", step).await;
            assert_eq!(attempts.load(Ordering::Relaxed), 2);
        }
    }
}
