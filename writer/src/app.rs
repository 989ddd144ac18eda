//! The state that the handlers share, wired once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use yima_schema::agency::is_agency_name;
use yima_schema::dead_letter::{DeadLetter, DeadLetterId};
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::handover::HandoverKeys;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::http::ProblemResponse;
use yima_service::jwt::{self, Scope, Verifier};
use yima_service::lifecycle::Lifecycle;
use yima_service::rate_limit::{RateConfig, RateLimiter};
use yima_service::telemetry::describe;
use yima_store::{AuditLog, DeadLetterStore, ResourceIndex, StoreError};

use crate::config::WriterConfig;
use crate::fold::Folder;
use crate::hints::Hints;
use crate::intake::{Intake, Replayed};
use crate::metrics::METRICS;
use crate::operator_file::OperatorFiles;

/// What a writer takes rows with.
pub struct Resources {
    /// Commits and folds events.
    pub folder: Arc<Folder>,
    /// Keeps dead letters.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// The index of FHIR resources.
    pub resources: Arc<dyn ResourceIndex>,
    /// Of the store's data directory, never low if the store is elsewhere.
    pub disk_space: Arc<DiskSpace>,
    /// Turns documents into subjects.
    pub pseudonyms: PseudonymKey,
    /// The files that the operator may replace.
    pub files: OperatorFiles,
    /// The settings.
    pub config: WriterConfig,
    /// Folds run as its tasks, so that a fold that has begun is finished.
    pub lifecycle: Lifecycle,
    /// The present moment.
    pub clock: fn() -> Time,
}

/// The state that the handlers share.
pub struct App {
    pub(crate) intake: Intake,
    pub(crate) body_timeout: Duration,
    pub(crate) handover: HandoverKeys,
    pub(crate) hints: Arc<Hints>,
    identity_provider: Verifier,
    /// Signature checks of all clients together; an agency's token costs one in 5 minutes.
    checks: RateLimiter,
}

/// Signature checks per second.
const CHECKS_PER_S: u32 = 1_000;

impl App {
    /// Wires the service. Reloads of files are recorded in `audit_log`.
    pub fn new(resources: Resources, identity_provider: Verifier, audit_log: &Arc<dyn AuditLog>) -> Arc<Self> {
        describe(METRICS);
        resources.files.watch(&resources.lifecycle, audit_log, resources.clock);
        let (body_timeout, handover) = (resources.config.body_timeout, HandoverKeys::new(&resources.pseudonyms));
        let Resources { folder, pseudonyms, lifecycle, .. } = &resources;
        let hints = Hints::new(pseudonyms, folder.published(), lifecycle.soft().clone());
        let checks = RateLimiter::new("sign-in", &RateConfig::new(CHECKS_PER_S, Duration::from_secs(1)));
        Arc::new(Self { intake: Intake::new(resources), body_timeout, handover, hints, identity_provider, checks })
    }

    /// Sets the gauges. To be called before each scrape.
    pub fn report(&self) {
        self.intake.report();
    }

    /// Drops rate limits that are full again. To be called about once a minute.
    pub fn sweep(&self) {
        self.intake.sweep();
    }

    /// Up to 200 dead letters after an id, in ascending order.
    ///
    /// # Errors
    /// The store's.
    pub async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
    ) -> Result<Vec<(DeadLetterId, DeadLetter)>, StoreError> {
        self.intake.dead_letters(after).await
    }

    /// Reads the dead letter of that id again, or all of them, by the codes in force now; removes those that were
    /// taken.
    ///
    /// # Errors
    /// The store's; some letters may have been replayed.
    pub async fn replay(&self, only: Option<DeadLetterId>) -> Result<Replayed, StoreError> {
        self.intake.replay(only).await
    }

    /// Takes an event that a citizen wrote about themself: durable, folded and published when this returns. `None`: an
    /// event of this name had been taken before.
    ///
    /// # Errors
    /// 403 for an event that no citizen may write, 409, 500, 503.
    pub async fn take_from_citizen(&self, event: Event) -> Result<Option<Freshness>, Problem> {
        self.intake.take_from_citizen(event).await
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
