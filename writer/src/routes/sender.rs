//! Who sends events: an agency, with a place for its request.

use std::sync::Arc;

use axum::http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;
use yima_service::http::ProblemResponse;
use yima_service::rate_limit::Remaining;

use crate::app::App;

/// See the module. A clone is the same place, which is given back with the last of them.
#[derive(Clone)]
pub(super) struct Sender {
    pub agency: Arc<str>,
    /// Of the agency's rate, with one row of this request paid.
    pub remaining: Remaining,
    /// One of `max_in_flight`. What commits its rows holds it too, and goes on when the client has gone: so bodies in memory are bounded.
    _place: Arc<OwnedSemaphorePermit>,
}

impl Sender {
    /// By the token; waits for a place. A request costs 1 of the agency's rate whatever is in it, so that faulty ones are limited too.
    ///
    /// # Errors
    /// 401, 403, 429.
    pub async fn of(app: &App, headers: &HeaderMap) -> Result<Self, ProblemResponse> {
        Self::named(app, app.agency(headers)?.into()).await
    }

    /// As [`Self::of`], the token left aside.
    ///
    /// # Errors
    /// 429.
    pub async fn named(app: &App, agency: Arc<str>) -> Result<Self, ProblemResponse> {
        let remaining = app.events.take(app.events.key(&agency), 1)?;
        let place = app.places.clone().acquire_owned().await.expect("nobody closes it");
        Ok(Self { agency, remaining, _place: Arc::new(place) })
    }

    /// Does work on a body away from the requests of this thread. Its place is taken until that is done, also when the client has gone.
    pub async fn away<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = self.clone();
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.expect("reading a body does not panic")
    }

    /// Takes what the first of its rows cost more than the request.
    ///
    /// # Errors
    /// 429.
    pub fn pay(&self, app: &App, rows: usize) -> Result<Remaining, ProblemResponse> {
        let paid = app.events.check_rest(app.events.key(&self.agency), cost(rows), self.remaining);
        paid.map_err(|refused| app.events.refusal(refused))
    }

    /// Takes what further rows cost, once there is enough.
    pub async fn pay_later(&self, app: &App, rows: usize) -> Remaining {
        loop {
            match app.events.check(app.events.key(&self.agency), cost(rows)) {
                Ok(remaining) => return remaining,
                Err(refused) => tokio::time::sleep(refused.retry_after).await,
            }
        }
    }
}

fn cost(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
