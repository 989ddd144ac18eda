//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use tokio::sync::mpsc;
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::code::TokenKeys;
use yima_schema::guardianship_tokens::GuardianshipKeys;
use yima_schema::guidance::Guidance;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::seal::{SealError, SealKeys};
use yima_schema::session::{Holder, Session};
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::http::ProblemResponse;
use yima_service::http::public::Public;
use yima_service::jwt::{self, Verifier};
use yima_service::levels::Levels;
use yima_service::oidc::SignIn;
use yima_service::utilization::Utilization;
use yima_service::waiting_room::WaitingRoom;

use crate::cache::{Answer, LookupError, OpenedSessions, SignedTokens, ViewCache};
use crate::citizen_writer::CitizenWriter;
use crate::config::{CacheConfig, LiveDisplaysConfig, PhonesConfig, ReadApiConfig};
use crate::copies::Copies;
use crate::document_lookups::DocumentLookups;
use crate::etag::EntityTags;
use crate::foreign_files::ForeignFiles;
use crate::headers::AsOfHeader;
use crate::keyring::{CurrentKeyring, DOCUMENT_LIFETIME};
use crate::limiters::Limiters;
use crate::offline_bundle::OfflineBundle;
use crate::pace::{Pace, REFRESH_AFTER_S};
use crate::presenter::YIMA_FOR;
use crate::session_ends::SessionEnds;

/// Secrets and public keys of a read node; all read nodes of a region have the same ones.
pub struct Keys {
    /// Makes a subject id of an identity document.
    pub pseudonyms: PseudonymKey,
    /// The keys that rotate: those of codes, handles and sessions.
    pub keyring: Arc<CurrentKeyring>,
    /// Verifies identity tokens.
    pub identity_provider: Verifier,
    /// Distinguishes the store from earlier ones with the same keys, so that their entity tags are ignored. `None`:
    /// there is only this store.
    pub store: Option<[u8; 16]>,
}

/// What is particular to a region's read nodes.
pub(crate) struct Deployment<'a> {
    /// Name of the region.
    pub region: &'a str,
    /// Secrets and public keys.
    pub keys: Keys,
    /// What the pages tell citizens.
    pub guidance: &'a Guidance,
    /// By which codes of other systems are judged.
    pub foreign: ForeignFiles,
    /// What checkpoints without a network judge by.
    pub offline_bundle: Arc<OfflineBundle>,
    /// Sign-in at the identity provider's page, if it is offered.
    pub sign_in: Option<SignIn>,
    /// Takes records of what people at checkpoints do.
    pub audit: mpsc::Sender<AuditRecord>,
}

/// Cache, keys, limits and settings, shared by all handlers of a read service.
pub(crate) struct App {
    pub(crate) views: Arc<ViewCache>,
    pub(crate) opened_sessions: OpenedSessions,
    pub(crate) signed_tokens: SignedTokens,
    pub(crate) code_lifetime: Duration,
    pub(crate) paper_lifetime: Duration,
    pub(crate) citizen_session: Duration,
    pub(crate) checkpoint_session: Duration,
    pub(crate) pace: Pace,
    pub(crate) live_displays: LiveDisplaysConfig,
    pub(crate) region: String,
    pub(crate) pseudonyms: PseudonymKey,
    pub(crate) identity_provider: Verifier,
    pub(crate) keyring: Arc<CurrentKeyring>,
    pub(crate) freshness: SealKeys,
    pub(crate) guardianships: GuardianshipKeys,
    pub(crate) tokens: TokenKeys,
    pub(crate) tags: EntityTags,
    pub(crate) guidance: Public,
    pub(crate) foreign: ForeignFiles,
    pub(crate) offline_bundle: Arc<OfflineBundle>,
    pub(crate) limits: Limiters,
    pub(crate) sign_ins: WaitingRoom,
    pub(crate) sign_in: Option<SignIn>,
    audit: mpsc::Sender<AuditRecord>,
    pub(crate) document_lookups: Arc<DocumentLookups>,
    pub(crate) session_ends: SessionEnds,
    pub(crate) citizen_writer: Arc<dyn CitizenWriter>,
    pub(crate) phones: PhonesConfig,
    pub(crate) copies: Copies,
    pub(crate) as_of: AsOfHeader,
    pub(crate) utilization: Arc<Utilization>,
    pub(crate) levels: Arc<Levels>,
    pub(crate) clock: fn() -> Time,
}

/// A citizen with a genuine session that has not expired. Whether it was ended before its time says the view.
pub(crate) struct Citizen {
    /// The session.
    pub session: Session,
    /// The citizen's own subject; its fingerprint is the key of their rate limits, whatever the session.
    pub subject: SubjectId,
}

impl App {
    /// Wires the service over a cache.
    pub fn new(
        views: Arc<ViewCache>,
        config: &ReadApiConfig,
        deployment: Deployment<'_>,
        writer: Arc<dyn CitizenWriter>,
        (utilization, levels): (Arc<Utilization>, Arc<Levels>),
        clock: fn() -> Time,
    ) -> Arc<Self> {
        let Deployment { region, keys, guidance, foreign, offline_bundle, sign_in, audit } = deployment;
        let line_keys = keys.pseudonyms.seal_keys("waiting room");
        let guidance = serde_json::to_vec(guidance).expect("texts by name always serialise");
        Arc::new(Self {
            views,
            opened_sessions: OpenedSessions::new(config.cache.session_bytes),
            signed_tokens: SignedTokens::new(config.cache.code_bytes),
            code_lifetime: config.code_lifetime,
            paper_lifetime: config.paper_lifetime,
            citizen_session: config.citizen_session,
            checkpoint_session: config.checkpoint_session,
            pace: Pace::new(config.refresh_after_s.unwrap_or(REFRESH_AFTER_S)),
            live_displays: config.live_displays.clone(),
            region: region.to_owned(),
            freshness: keys.pseudonyms.seal_keys("freshness"),
            guardianships: GuardianshipKeys::new(&keys.pseudonyms),
            tokens: TokenKeys::new(&keys.pseudonyms),
            tags: EntityTags::new(&keys.pseudonyms.derived_secret("entity tags"), region, keys.store),
            pseudonyms: keys.pseudonyms,
            identity_provider: keys.identity_provider,
            keyring: keys.keyring,
            guidance: Public::new(guidance.into(), "application/json", DOCUMENT_LIFETIME, "guidance"),
            foreign,
            offline_bundle,
            limits: Limiters::new(&config.limits),
            sign_in,
            audit,
            sign_ins: WaitingRoom::new("sign_in", line_keys, config.limits.sign_in.per_second()),
            document_lookups: Arc::default(),
            session_ends: SessionEnds::default(),
            citizen_writer: writer,
            phones: config.phones.clone(),
            copies: Copies::default(),
            as_of: AsOfHeader::default(),
            utilization,
            levels,
            clock,
        })
    }

    /// Records what a person at a checkpoint did. More than the store takes are in the log alone.
    pub fn record(&self, entry: AuditEntry) {
        let record = AuditRecord { at: (self.clock)(), entry };
        tracing::info!(record = record.to_json(), "a person of a checkpoint");
        if self.audit.try_send(record).is_err() {
            tracing::warn!("a record is in the log, but not in the audit log");
        }
    }

    /// Ends every live display at once and refuses new ones. To be called at the soft stop.
    pub fn end_live_displays(&self) {
        self.views.end_subscriptions();
    }

    /// Applies other sizes, times and limits of the caches.
    pub fn tune(&self, config: &CacheConfig) {
        self.views.tune(config);
        self.opened_sessions.resize(config.session_bytes);
        self.signed_tokens.resize(config.code_bytes);
    }

    /// Sets the gauges of the caches. To be called before each scrape.
    pub fn report(&self) {
        self.views.report();
        self.sign_ins.report((self.clock)());
        metrics::gauge!("cache_memory_entries", "module" => "session").set(self.opened_sessions.entries() as f64);
        metrics::gauge!("cache_memory_entries", "module" => "code").set(self.signed_tokens.entries() as f64);
    }

    /// Drops rate-limit entries that no longer restrict anyone. To be called about once a minute.
    pub fn sweep(&self) {
        self.limits.sweep();
    }

    /// The session in `Authorization`, if it is genuine and has not ended.
    pub(crate) fn session(&self, headers: &HeaderMap, now: Time) -> Result<Session, ProblemResponse> {
        Ok(self.session_of(jwt::bearer(headers)?, now)?)
    }

    pub(crate) fn session_of(&self, token: &str, now: Time) -> Result<Session, Problem> {
        match self.opened_sessions.open(token, &self.keyring.load()) {
            Ok(session) if session.expires_at > now => Ok(session),
            Ok(_) | Err(SealError::Unknown) => Err(session_over()),
            Err(SealError::Revoked) => Err(Problem::new(
                ProblemType::Unauthenticated,
                "The key that sealed this session was revoked: sign in again",
            )),
        }
    }

    /// The floor of a client: the version of the display that its `If-None-Match` proves it was shown.
    pub(crate) fn floor(&self, subject: SubjectId, headers: &HeaderMap) -> Version {
        self.tags.version(subject, headers.get_all(IF_NONE_MATCH)).unwrap_or(Version::ABSENT)
    }

    /// The citizen in `Authorization`, where nobody can act for another one.
    ///
    /// # Errors
    /// 400 with `Yima-For`, 401, 403.
    pub(crate) fn citizen(&self, headers: &HeaderMap, now: Time) -> Result<Citizen, ProblemResponse> {
        let citizen = self.citizen_of(jwt::bearer(headers)?, now)?;
        if headers.contains_key(YIMA_FOR) {
            let detail = "Yima-For: expected none here, since this is about the holder of the session alone";
            return Err(Problem::new(ProblemType::Invalid, detail).into());
        }
        Ok(citizen)
    }

    /// The session of a token, if it is a citizen's.
    ///
    /// # Errors
    /// 401, 403.
    pub(crate) fn citizen_of(&self, token: &str, now: Time) -> Result<Citizen, Problem> {
        let session = self.session_of(token, now)?;
        match session.holder {
            Holder::Citizen { subject } => Ok(Citizen { session, subject }),
            Holder::Checkpoint { .. } => Err(Problem::new(
                ProblemType::Forbidden,
                "A checkpoint's session can only scan; sign in as a citizen to see a code",
            )),
        }
    }
}

impl App {
    /// The citizen's own view: no older than the request shows that the phone was shown or demands.
    ///
    /// # Errors
    /// 400, 401 for a session that was ended, 500, 503.
    pub(crate) async fn look_up_own(&self, citizen: &Citizen, headers: &HeaderMap) -> Result<Answer, Problem> {
        let at_least = self.at_least_of(citizen.subject, headers)?;
        let answer = self.look_up(citizen.subject, self.floor(citizen.subject, headers), at_least).await?;
        citizen.check(&answer)?;
        Ok(answer)
    }
}

impl Citizen {
    /// Whether the session still counts by the citizen's own view.
    ///
    /// # Errors
    /// 401: it was ended.
    pub(crate) fn check(&self, answer: &Answer) -> Result<(), Problem> {
        if answer.entry.has_ended(&self.session) { Err(session_over()) } else { Ok(()) }
    }
}

fn session_over() -> Problem {
    Problem::new(ProblemType::Unauthenticated, "The session is not valid any more: sign in again")
}

/// The problem that a client gets when a lookup has no answer.
pub(crate) fn lookup_problem(error: LookupError) -> Problem {
    match error {
        LookupError::Unavailable => {
            Problem::new(ProblemType::Unavailable, "This cannot be looked up now; try again shortly").retry_after(5)
        }
        LookupError::BeingUpdated => {
            Problem::new(ProblemType::BeingUpdated, "This changed just now; try again shortly").retry_after(1)
        }
        LookupError::Rejected => Problem::new(
            ProblemType::Unavailable,
            "The database refuses this service, which its operators have to repair; try again later",
        )
        .retry_after(30),
        LookupError::Corrupt => {
            Problem::new(ProblemType::Internal, "The stored view cannot be read, which its operators have to repair")
        }
    }
}
