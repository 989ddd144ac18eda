//! The identity provider's public keys: of a JWKS document (RFC 7517 section 5), and which are in force now.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Notify;
use yima_schema::time::Time;

use crate::http::unique_members::{self, NotUnique};

/// The identity provider's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read.
    #[error("the key file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// The file is not a JWKS document.
    #[error("expected a JWKS document (RFC 7517)")]
    NotJwks(#[source] serde_json::Error),
    /// An object of the document has a member twice; the JSON Pointer to it.
    #[error("{0}: expected one member of this name")]
    Duplicate(String),
    /// The document has no key for signatures of a known algorithm.
    #[error("expected at least one key for signatures: EC on P-256, RSA, or Ed25519")]
    NoKey,
}

/// A key with the one algorithm that it is for (RFC 8725 section 3.1).
pub(super) struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

impl Key {
    /// `None` for a key of another purpose or algorithm, of which a JWKS document may have some.
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            // A secret shared with the provider (HS256) is no key of a provider for everybody.
            AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
            | AlgorithmParameters::OctetKey(_)
            | AlgorithmParameters::Other(_)
            | _ => return None,
        };
        let fits = common.key_algorithm.is_none_or(|algorithm| algorithm == named)
            && common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let key = DecodingKey::from_jwk(jwk).ok()?;
        fits.then(|| Self { id: common.key_id.clone(), algorithm, key })
    }
}

/// The keys of one document; those that sign nothing that is read here are left out.
#[derive(Default)]
pub struct KeySet(pub(super) Vec<Key>);

impl KeySet {
    /// The keys of a JWKS document.
    ///
    /// # Errors
    /// The text is no JWKS document, or has no key that can be used.
    pub fn from_jwks(jwks: &str) -> Result<Self, JwksError> {
        unique_members::check(jwks.as_bytes()).map_err(|error| match error {
            NotUnique::Duplicate(pointer) => JwksError::Duplicate(pointer),
            NotUnique::Json(error) => JwksError::NotJwks(error),
        })?;
        let jwks: JwkSet = serde_json::from_str(jwks).map_err(JwksError::NotJwks)?;
        let keys: Vec<Key> = jwks.keys.iter().filter_map(Key::of).collect();
        if keys.is_empty() { Err(JwksError::NoKey) } else { Ok(Self(keys)) }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.0.len())
    }
}

/// The keys in force, which one who follows the provider may replace.
pub struct CurrentKeys {
    set: ArcSwap<KeySet>,
    /// When the provider may be asked again, in milliseconds since 1970; [`i64::MAX`] if nobody follows it.
    asked_from: AtomicI64,
    /// Somebody has a token of a key that is not known.
    pub(crate) wanted: Notify,
}

impl CurrentKeys {
    /// Keys that stay as they are.
    pub fn fixed(set: KeySet) -> Arc<Self> {
        Self::new(set, i64::MAX)
    }

    /// Keys that a follower of the provider replaces; it may have none yet.
    pub(crate) fn followed(set: KeySet) -> Arc<Self> {
        Self::new(set, 0)
    }

    fn new(set: KeySet, asked_from: i64) -> Arc<Self> {
        let set = ArcSwap::from_pointee(set);
        Arc::new(Self { set, asked_from: AtomicI64::new(asked_from), wanted: Notify::new() })
    }

    /// Puts other keys in force.
    pub(crate) fn replace(&self, set: KeySet) {
        self.set.store(Arc::new(set));
    }

    /// The provider was asked `now`, and is asked again for an unknown key after `pause` only.
    pub(crate) fn asked(&self, now: Time, pause: Duration) {
        self.asked_from.store(now.plus(pause).as_millis(), Ordering::Relaxed);
    }

    /// Has the provider asked for a key that is not known here. False: it was asked just now, or nobody follows it.
    pub(super) fn want(&self, now: Time) -> bool {
        let is_due = now.as_millis() >= self.asked_from.load(Ordering::Relaxed);
        if is_due {
            self.wanted.notify_one();
        }
        // Before there was any answer nobody knows which keys there are.
        is_due || self.set.load().0.is_empty()
    }

    pub(super) fn load(&self) -> Arc<KeySet> {
        self.set.load_full()
    }
}
