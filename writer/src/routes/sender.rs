//! Who sends events: an agency, with a place for its request.

use std::sync::Arc;

use axum::http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;
use yima_service::http::Failure;

use crate::app::App;

/// See the module. A clone is the same place, which is given back with the last of them.
#[derive(Clone)]
pub(super) struct Sender {
    pub agency: Arc<str>,
    /// One of `max_in_flight`. What commits its rows holds it too, and goes on when the client has gone: so bodies in memory are bounded.
    _place: Arc<OwnedSemaphorePermit>,
}

impl Sender {
    /// By the token; waits for a place.
    ///
    /// # Errors
    /// 401, 403.
    pub async fn of(app: &App, headers: &HeaderMap) -> Result<Self, Failure> {
        Ok(Self::named(app, app.agency(headers)?.into()).await)
    }

    /// Waits for a place.
    pub async fn named(app: &App, agency: Arc<str>) -> Self {
        let place = app.places.clone().acquire_owned().await.expect("nobody closes it");
        Self { agency, _place: Arc::new(place) }
    }
}
