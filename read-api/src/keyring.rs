//! The keys that rotate, as they are in force: replaced as a whole while the node runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use yima_schema::code::{Claims, Handle, Issued, IssuerKey, IssuerKeys, SignError, TokenKeys};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::seal::SealKeys;
use yima_service::http::public::{Lifetime, Public, weight};

/// A scanner that cannot reach this service goes on with the keys it has for as long as a stale view may be served; so
/// does a cache in between, and a page with its guidance. Issuers' keys are published for longer before they sign.
pub(crate) const DOCUMENT_LIFETIME: Lifetime = Lifetime {
    everywhere: "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
    at_the_edge: "max-age=60, stale-while-revalidate=600, stale-if-error=86400",
};

/// The keys in force at one moment. All read nodes of a region have the same ones.
pub struct Keyring {
    /// Another one for each keyring of this process.
    serial: u64,
    issuer: Option<IssuerKey>,
    issuers: IssuerKeys,
    handles: SealKeys,
    sessions: SealKeys,
    tickets: SealKeys,
    jwks: Public,
    cose_key_set: Public,
}

const JWK_SET: &str = "application/jwk-set+json";
const COSE_KEY_SET: &str = "application/cose-key-set";

impl Keyring {
    /// `issuer` signs codes: `None` on a node that signs none. Codes of `issuers` are known; the others seal what their
    /// names say: `tickets` those of TLS.
    pub fn new(
        issuer: Option<IssuerKey>,
        issuers: IssuerKeys,
        handles: SealKeys,
        sessions: SealKeys,
        tickets: SealKeys,
    ) -> Self {
        let jwks = serde_json::json!({ "keys": issuers.jwks() }).to_string();
        let document = |body: Vec<u8>, media_type| {
            Public::new(body.into(), media_type, DOCUMENT_LIFETIME, "keys")
                .with(VARY, HeaderValue::from_static("accept"))
        };
        let cose_key_set = document(issuers.cose_key_set(), COSE_KEY_SET);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { serial, jwks: document(jwks.into(), JWK_SET), cose_key_set, issuer, issuers, handles, sessions, tickets }
    }

    /// Signs a token and seals its handle.
    ///
    /// # Errors
    /// 503: this node signs no codes, lacks a key, or cannot sign now (PKCS #11).
    pub fn issue(&self, claims: &Claims, handle: &Handle, tokens: &TokenKeys) -> Result<Issued, Problem> {
        let unavailable = |detail| Problem::new(ProblemType::Unavailable, detail).retry_after(5);
        let issuer = self.issuer.as_ref().filter(|_| self.handles.can_seal());
        let issuer =
            issuer.ok_or_else(|| unavailable("This node has no key that signs codes; another node may have it"))?;
        claims
            .issue(handle, issuer, &self.handles, tokens)
            .map_err(|SignError| unavailable("The code cannot be signed now; try again shortly"))
    }

    /// What tells this keyring from others of this process, before and after.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// The keys that seal a new session.
    ///
    /// # Errors
    /// 503: this node lacks the key.
    pub(crate) fn for_new_sessions(&self) -> Result<&SealKeys, Problem> {
        let problem = || {
            Problem::new(ProblemType::Unavailable, "This node has no key that seals sessions; another node may have it")
                .retry_after(5)
        };
        Some(&self.sessions).filter(|sessions| sessions.can_seal()).ok_or_else(problem)
    }

    /// The issuers whose codes are known.
    pub(crate) fn issuers(&self) -> &IssuerKeys {
        &self.issuers
    }

    /// The keys that open handles.
    pub(crate) fn handles(&self) -> &SealKeys {
        &self.handles
    }

    /// The keys that open sessions.
    pub(crate) fn sessions(&self) -> &SealKeys {
        &self.sessions
    }

    /// The keys that seal and open tickets of TLS.
    pub(crate) fn tickets(&self) -> &SealKeys {
        &self.tickets
    }

    /// The issuers' public keys, as the request prefers them: a JWK set (RFC 7517), or a COSE key set (RFC 9052).
    pub(crate) fn public_keys(&self, request: &HeaderMap) -> Response {
        let is_cose = weight(request, COSE_KEY_SET) > weight(request, JWK_SET);
        if is_cose { &self.cose_key_set } else { &self.jwks }.respond(request)
    }
}

/// The keys in force now.
pub struct CurrentKeyring(ArcSwap<Keyring>);

impl CurrentKeyring {
    /// Begins with these keys.
    pub fn new(keyring: Keyring) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(keyring)))
    }

    /// Puts other keys in force, for every request from now on.
    pub fn replace(&self, keyring: Keyring) {
        self.0.store(Arc::new(keyring));
    }

    /// The keys in force.
    pub fn load(&self) -> Guard<Arc<Keyring>> {
        self.0.load()
    }
}
