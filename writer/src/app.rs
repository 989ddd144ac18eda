//! The state that the handlers share, wired once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use yima_schema::agency::is_agency_name;
use yima_schema::agency_session::{AgencySession, AgencySessionKeys};
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::dead_letter::{DeadLetter, DeadLetterId};
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::handover::HandoverKeys;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::disk_space::DiskSpace;
use yima_service::http::ProblemResponse;
use yima_service::jwt::{self, Claims, Scope, Verifier};
use yima_service::lifecycle::Lifecycle;
use yima_service::oidc::SignIn;
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
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) agency_session: Duration,
    pub(crate) clock: fn() -> Time,
    sessions: AgencySessionKeys,
    audit_log: Arc<dyn AuditLog>,
    lifecycle: Lifecycle,
    pub(crate) identity_provider: Verifier,
    /// Signature checks of all clients together; an agency's token costs one in 5 minutes.
    pub(crate) checks: RateLimiter,
}

/// Who sends events.
pub(crate) struct Sender {
    pub agency: String,
    /// The person, if one sends them on the page.
    pub operator: Option<String>,
}

/// Signature checks per second.
const CHECKS_PER_S: u32 = 1_000;

impl App {
    /// Wires the service. Reloads of files, and what people of agencies do, are recorded in `audit_log`. `sign_in`: at
    /// the identity provider's page, if it is offered.
    pub fn new(
        resources: Resources,
        identity_provider: Verifier,
        sign_in: Option<SignIn>,
        audit_log: &Arc<dyn AuditLog>,
    ) -> Arc<Self> {
        describe(METRICS);
        resources.files.watch(&resources.lifecycle, audit_log, resources.clock);
        let (body_timeout, handover) = (resources.config.body_timeout, HandoverKeys::new(&resources.pseudonyms));
        let Resources { folder, pseudonyms, lifecycle, .. } = &resources;
        let hints = Hints::new(pseudonyms, folder.published(), lifecycle.soft().clone());
        let checks = RateLimiter::new("sign-in", &RateConfig::new(CHECKS_PER_S, Duration::from_secs(1)));
        let (agency_session, clock) = (resources.config.agency_session, resources.clock);
        let (sessions, audit_log) = (AgencySessionKeys::new(pseudonyms), audit_log.clone());
        let lifecycle = lifecycle.clone();
        Arc::new(Self {
            body_timeout,
            handover,
            hints,
            sign_in,
            agency_session,
            clock,
            sessions,
            audit_log,
            lifecycle,
            identity_provider,
            checks,
            intake: Intake::new(resources),
        })
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

    /// Who sends a request: an agency with its own identity token, or a person with a session of the page.
    pub(crate) fn sender(&self, headers: &HeaderMap) -> Result<Sender, ProblemResponse> {
        let token = jwt::bearer(headers)?;
        // The parts of a JWT are separated by points, which no session has.
        if !token.contains('.') {
            let AgencySession { agency, operator, .. } = self.session(token).ok_or_else(|| {
                let detail = "The token is not valid: get one from the identity provider";
                Problem::new(ProblemType::Unauthenticated, detail)
            })?;
            return Ok(Sender { agency, operator });
        }
        let claims = self.identity_provider.verify(token, &self.checks)?;
        Ok(Sender { agency: agency_of(&claims)?, operator: None })
    }

    /// The session of a token, if it is genuine and has not expired.
    pub(crate) fn session(&self, token: &str) -> Option<AgencySession> {
        self.sessions.open(token).filter(|session| session.expires_at > (self.clock)())
    }

    /// Starts a session for a person of an agency, and seals it.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn start_session(&self, claims: &Claims) -> Result<(AgencySession, String), ProblemResponse> {
        let expires_at = (self.clock)().plus(self.agency_session);
        let (agency, operator) = (agency_of(claims)?, claims.operator.clone());
        if let Some(operator) = operator.clone() {
            let agency = Some(agency.clone());
            self.record(AuditEntry::OperatorSignedIn { agency, checkpoint: None, operator });
        }
        let session = AgencySession { id: rand::random(), expires_at, agency, operator };
        let token = self.sessions.seal(&session);
        Ok((session, token))
    }

    /// Records what a person of an agency did: in the log at once, in the audit log as soon as the store takes it.
    pub(crate) fn record(&self, entry: AuditEntry) {
        let (record, audit_log) = (AuditRecord { at: (self.clock)(), entry }, self.audit_log.clone());
        tracing::info!(record = record.to_json(), "a person of an agency");
        self.lifecycle.spawn("audit record", async move {
            if let Err(error) = audit_log.audit(&record).await {
                tracing::warn!(%error, "a record is in the log, but not in the audit log");
            }
        });
    }
}

fn agency_of(claims: &Claims) -> Result<String, ProblemResponse> {
    claims.require(Scope::EventsWrite)?;
    let agency = claims.agency.clone().filter(|name| is_agency_name(name));
    let detail = "The token has no valid claim `agency`: use a token that was issued to an agency";
    agency.ok_or_else(|| Problem::new(ProblemType::Forbidden, detail).into())
}
