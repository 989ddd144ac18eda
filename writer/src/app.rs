//! What the handlers share, wired once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::jwt::{self, Scope, Verifier};
use yima_service::lifecycle::Lifecycle;
use yima_service::rate_limit::RateLimiter;

use crate::config::WriterConfig;
use crate::fold::Folder;

/// See the module.
pub struct App {
    pub(crate) folder: Arc<Folder>,
    pub(crate) room: Arc<DiskSpace>,
    pub(crate) pseudonyms: PseudonymKey,
    pub(crate) identity_provider: Verifier,
    pub(crate) events: RateLimiter,
    /// As many as there may be requests.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) config: WriterConfig,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) clock: fn() -> Time,
}

impl App {
    /// Wires the service over a folder. `room`: where the store keeps its data, never low if that is elsewhere. Folds run as tasks of `lifecycle`, so that what was begun is finished.
    pub fn new(
        folder: Arc<Folder>,
        room: Arc<DiskSpace>,
        pseudonyms: PseudonymKey,
        identity_provider: Verifier,
        config: WriterConfig,
        lifecycle: Lifecycle,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        let events = RateLimiter::new("events", &config.events);
        let places = Arc::new(Semaphore::new(config.http.max_in_flight.get().min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { folder, room, pseudonyms, identity_provider, events, places, config, lifecycle, clock })
    }

    /// Forgets rate limits that count nothing any more. To be called about once a minute.
    pub fn sweep(&self) {
        self.events.sweep();
    }

    /// The agency that a request's token speaks for.
    pub(crate) fn agency(&self, headers: &axum::http::HeaderMap) -> Result<String, Problem> {
        let claims = self.identity_provider.verify(jwt::bearer(headers)?)?;
        claims.require(Scope::EventsWrite)?;
        let agency = claims.agency.clone().filter(|name| yima_schema::agency::is_agency_name(name));
        agency.ok_or_else(|| Problem::new(ProblemType::Forbidden, "The token has no valid claim `agency`"))
    }
}
