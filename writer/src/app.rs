//! The state that the handlers share, wired once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use yima_schema::agency::is_agency_name;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::http::ProblemResponse;
use yima_service::jwt::{self, Scope, Verifier};
use yima_service::lifecycle::Lifecycle;
use yima_service::rate_limit::{RateConfig, RateLimiter};
use yima_service::telemetry::describe;

use crate::config::WriterConfig;
use crate::fold::Folder;
use crate::intake::Intake;
use crate::metrics::METRICS;

/// The state that the handlers share.
pub struct App {
    pub(crate) intake: Intake,
    pub(crate) body_timeout: Duration,
    identity_provider: Verifier,
    /// Signature checks of all clients together; an agency's token costs one in 5 minutes.
    checks: RateLimiter,
}

/// Signature checks per second.
const CHECKS_PER_S: u32 = 1_000;

impl App {
    /// Wires the service over a folder. `disk_space`: of the store's data directory, never low if the store is
    /// elsewhere. Folds run as tasks of `lifecycle`, so that a fold that has begun is finished.
    pub fn new(
        folder: Arc<Folder>,
        disk_space: Arc<DiskSpace>,
        pseudonyms: PseudonymKey,
        identity_provider: Verifier,
        config: WriterConfig,
        lifecycle: Lifecycle,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        describe(METRICS);
        let body_timeout = config.body_timeout;
        let intake = Intake::new(folder, disk_space, pseudonyms, &config, lifecycle, clock);
        let checks = RateLimiter::new("sign-in", &RateConfig::new(CHECKS_PER_S, Duration::from_secs(1)));
        Arc::new(Self { intake, body_timeout, identity_provider, checks })
    }

    /// Drops rate limits that are full again. To be called about once a minute.
    pub fn sweep(&self) {
        self.intake.sweep();
    }

    /// The agency of a request's token.
    pub(crate) fn agency(&self, headers: &HeaderMap) -> Result<String, ProblemResponse> {
        let claims = self.identity_provider.verify(jwt::bearer(headers)?, &self.checks)?;
        claims.require(Scope::EventsWrite)?;
        let agency = claims.agency.clone().filter(|name| is_agency_name(name));
        let detail = "The token has no valid claim `agency`: use a token that was issued to an agency";
        agency.ok_or_else(|| Problem::new(ProblemType::Forbidden, detail).into())
    }
}
