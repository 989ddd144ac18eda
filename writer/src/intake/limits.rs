//! The limits of the intake: the rate of each agency, and the number of requests in flight, of all and of each agency.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::http::ProblemResponse;
use yima_service::rate_limit::{RateLimiter, Remaining};
use yima_service::waiting_room::WaitingRoom;
use yima_store::bulk;

use super::problems;
use super::shares::{Share, Shares};
use crate::config::WriterConfig;

/// Bytes of a body that is no work in bulk: about `FEW_ROWS` rows.
const SMALL_BODY: usize = 8 * 1024;

/// The limits of all agencies together.
pub(super) struct Limits {
    /// Rows of each agency.
    rate: RateLimiter,
    /// `max_in_flight` permits.
    in_flight: Arc<Semaphore>,
    /// Where an upload that finds no permit gets a place in line.
    line: Arc<WaitingRoom>,
    /// How long a permit is waited for.
    commit_timeout: Duration,
    clock: fn() -> Time,
    /// Each agency's share of them.
    shares: Arc<Shares>,
}

/// An admitted request of an agency. Clones share one permit of the in-flight limit; the last one returns it.
#[derive(Clone)]
pub(crate) struct Submission {
    pub(super) agency: Arc<str>,
    /// What was left of the agency's rate after the first row of this request.
    pub(super) remaining: Remaining,
    /// The task that commits the rows holds a clone and continues after the client has gone: this bounds the bodies in
    /// memory.
    _permit: Arc<(OwnedSemaphorePermit, Share, Served)>,
}

/// Tells the line that a permit was returned.
struct Served(Arc<WaitingRoom>, fn() -> Time);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.served((self.1)());
    }
}

impl Limits {
    pub(super) fn new(config: &WriterConfig, pseudonyms: &PseudonymKey, clock: fn() -> Time) -> Self {
        let permits = config.http.max_in_flight.get().min(Semaphore::MAX_PERMITS);
        let share = config.max_in_flight_per_agency.map_or(permits.div_ceil(4), NonZeroUsize::get);
        Self {
            rate: RateLimiter::new("events", &config.events),
            in_flight: Arc::new(Semaphore::new(permits)),
            // As if each took a second, until it is measured.
            line: Arc::new(WaitingRoom::new("upload", pseudonyms.seal_keys("waiting room"), permits as f64)),
            clock,
            shares: Shares::new(share),
            commit_timeout: config.commit_timeout,
        }
    }

    /// Admits an upload at once, or gives it a place in line. It costs 1 of the agency's rate whatever its body contains,
    /// so that requests with errors are limited too.
    ///
    /// # Errors
    /// 429; 503 when as many requests are in flight as may, or others wait.
    pub(super) fn admit_now(&self, agency: Arc<str>, headers: &HeaderMap) -> Result<Submission, ProblemResponse> {
        let now = (self.clock)();
        let remaining = self.rate.take(self.rate.key(&agency), 1)?;
        let admitted = self.line.enter(headers, agency.as_bytes(), now)?;
        let share = self.shares.take(&agency)?;
        let permit = self.in_flight.clone().try_acquire_owned();
        let permit = permit.map_err(|_| self.line.turn_away(admitted, agency.as_bytes(), now))?;
        Ok(self.submission(agency, remaining, permit, share))
    }

    /// Admits a request that can wait for a permit where it is.
    ///
    /// # Errors
    /// 429; 503 when the requests in flight have not ended within `commit_timeout`.
    pub(super) async fn admit(&self, agency: Arc<str>) -> Result<Submission, ProblemResponse> {
        let remaining = self.rate.take(self.rate.key(&agency), 1)?;
        // Refused, not queued: requests that wait here count among those in flight too.
        let share = self.shares.take(&agency)?;
        let permit = tokio::time::timeout(self.commit_timeout, self.in_flight.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| problems::too_many_in_flight())?.expect("the semaphore is never closed");
        Ok(self.submission(agency, remaining, permit, share))
    }

    fn submission(
        &self,
        agency: Arc<str>,
        remaining: Remaining,
        permit: OwnedSemaphorePermit,
        share: Share,
    ) -> Submission {
        let served = Served(Arc::clone(&self.line), self.clock);
        Submission { agency, remaining, _permit: Arc::new((permit, share, served)) }
    }

    /// Charges the first batch of a request: what its rows cost beyond the request's 1.
    ///
    /// # Errors
    /// 429.
    pub(super) fn pay(&self, submission: &Submission, rows: usize) -> Result<Remaining, ProblemResponse> {
        let paid = self.rate.check_rest(self.rate.key(&submission.agency), cost(rows), submission.remaining);
        paid.map_err(|refused| self.rate.refusal(refused))
    }

    /// Charges a later batch, as soon as the rate allows it.
    pub(super) async fn pay_when_allowed(&self, submission: &Submission, rows: usize) -> Remaining {
        loop {
            match self.rate.check(self.rate.key(&submission.agency), cost(rows)) {
                Ok(remaining) => return remaining,
                Err(refused) => tokio::time::sleep(refused.retry_after).await,
            }
        }
    }

    pub(super) fn describe(&self, remaining: Remaining, headers: &mut HeaderMap) {
        self.rate.describe(remaining, headers);
    }

    pub(super) fn sweep(&self) {
        self.rate.sweep();
    }

    /// Sets the gauge of the line. To be called before each scrape.
    pub(super) fn report(&self) {
        self.line.report((self.clock)());
    }
}

impl Submission {
    /// Works on a body in a thread that may block; `bytes`: of the body. The permit is held until the work is done, also
    /// after the client has gone.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let submission = self.clone();
        let work = move || {
            let result = work();
            drop(submission);
            result
        };
        bulk::spawn_blocking(bytes > SMALL_BODY, work).await.expect("splitting a body does not panic")
    }
}

fn cost(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
