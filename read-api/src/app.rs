//! What the handlers share, wired once.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use yima_schema::code::{IssuerKey, IssuerKeys};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::http::public::{Lifetime, Public};
use yima_service::jwt::{self, Verifier};
use yima_service::utilization::Utilization;

use crate::cache::{LookupError, ViewCache};
use crate::config::ReadApiConfig;
use crate::etag::EntityTags;
use crate::headers::AsOf;
use crate::limiters::Limiters;

/// Secrets and public keys of a read node; those of a region's nodes are the same.
pub struct Keys {
    /// Turns an identity token's document into a subject.
    pub pseudonyms: PseudonymKey,
    /// Signs codes.
    pub issuer: IssuerKey,
    /// Seals sessions, handles and entity tags; each purpose derives its own key.
    pub seal: Vec<[u8; 32]>,
    /// Verifies identity tokens.
    pub identity_provider: Verifier,
    /// What tells the store from others that had these keys before it: entity tags of those count for nothing. `None`: it is always the same.
    pub store: Option<[u8; 16]>,
}

/// A scanner that cannot ask goes on with the keys it has, as long as a stale view is given; so does a cache in front of it.
const KEYS_LIFETIME: Lifetime = Lifetime {
    everywhere: "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
    at_the_edge: "max-age=60, stale-while-revalidate=600, stale-if-error=86400",
};

/// See the module.
pub struct App {
    pub(crate) views: Arc<ViewCache>,
    pub(crate) config: ReadApiConfig,
    pub(crate) region: String,
    pub(crate) pseudonyms: PseudonymKey,
    pub(crate) identity_provider: Verifier,
    pub(crate) sessions: SealKeys,
    pub(crate) handles: SealKeys,
    pub(crate) tags: EntityTags,
    pub(crate) issuer: IssuerKey,
    pub(crate) issuers: IssuerKeys,
    pub(crate) jwks: Public,
    pub(crate) limits: Limiters,
    pub(crate) as_of: AsOf,
    pub(crate) load: Arc<Utilization>,
    pub(crate) clock: fn() -> Time,
}

/// Whose session it is.
pub(crate) struct Citizen {
    /// Random; the unit of rate limits.
    pub session: u64,
    /// When the session ends.
    pub expires_at: Time,
    /// Who.
    pub subject: SubjectId,
}

impl App {
    /// Wires the service over a cache.
    ///
    /// # Panics
    /// Without a sealing secret.
    pub fn new(
        views: Arc<ViewCache>,
        config: ReadApiConfig,
        region: &str,
        keys: Keys,
        load: Arc<Utilization>,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        let issuers = IssuerKeys::new(vec![keys.issuer.verifying_key()]);
        let jwks = serde_json::json!({ "keys": issuers.jwks() }).to_string();
        let jwks = Public::new(jwks.into(), "application/jwk-set+json", KEYS_LIFETIME);
        let newest = keys.seal.last().expect("a read node has a sealing secret");
        Arc::new(Self {
            views,
            region: region.to_owned(),
            pseudonyms: keys.pseudonyms,
            identity_provider: keys.identity_provider,
            sessions: SealKeys::new(&keys.seal, "session"),
            handles: SealKeys::new(&keys.seal, "handle"),
            tags: EntityTags::new(newest, region, keys.store),
            issuer: keys.issuer,
            issuers,
            jwks,
            limits: Limiters::new(&config.limits),
            as_of: AsOf::default(),
            load,
            config,
            clock,
        })
    }

    /// Ends the streams that are open, each at once, and lets nobody open another. To be called at the soft stop.
    pub fn end_streams(&self) {
        self.views.end_watches();
    }

    /// Forgets rate limits that count nothing any more. To be called about once a minute.
    pub fn sweep(&self) {
        self.limits.sweep();
    }

    /// The caller's session.
    pub(crate) fn session(&self, headers: &HeaderMap, now: Time) -> Result<Session, Problem> {
        let opened = Session::open(jwt::bearer(headers)?, &self.sessions).ok().filter(|s| s.expires_at > now);
        opened.ok_or_else(|| {
            Problem::new(ProblemType::Unauthenticated, "The session is not valid any more: sign in again")
        })
    }

    /// The version of the display that a client says it was shown, by its tag in `If-None-Match`.
    pub(crate) fn shown(&self, subject: SubjectId, headers: &HeaderMap) -> Version {
        headers.get(IF_NONE_MATCH).and_then(|tags| self.tags.version(subject, tags)).unwrap_or(Version::ABSENT)
    }

    /// The caller, if it is a citizen.
    pub(crate) fn citizen(&self, headers: &HeaderMap, now: Time) -> Result<Citizen, Problem> {
        let Session { id, expires_at, holder } = self.session(headers, now)?;
        match holder {
            Holder::Citizen { subject } => Ok(Citizen { session: id, expires_at, subject }),
            Holder::Checkpoint { .. } => {
                Err(Problem::new(ProblemType::Forbidden, "A checkpoint's session scans; it has no code of its own"))
            }
        }
    }
}

/// What a client is told when the cache has no answer.
pub(crate) fn no_answer(fault: LookupError) -> Problem {
    match fault {
        LookupError::Unavailable => {
            Problem::new(ProblemType::Unavailable, "This cannot be looked up now; try again shortly").retry_after(5)
        }
        LookupError::BeingUpdated => {
            Problem::new(ProblemType::BeingUpdated, "This changed just now; try again shortly").retry_after(1)
        }
        LookupError::Corrupt => {
            Problem::new(ProblemType::Internal, "What is stored cannot be read; it has been reported")
        }
    }
}
