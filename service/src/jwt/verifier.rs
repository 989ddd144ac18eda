//! Verifies tokens, with a small cache: an agency sends the same token with each request, and a signature takes about
//! 70 µs to check.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parking_lot::Mutex;
use serde::Deserialize;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;

use super::{AUDIENCE, Claims, MAX_TOKEN_BYTES, Scope};
use crate::clock;

/// How far the identity provider's clock may be off this machine's.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long a verified token is trusted before it is verified again.
const CACHED_FOR: Duration = Duration::from_secs(300);
/// Most tokens in the cache, a few hundred bytes each.
const CACHED_TOKENS: usize = 4_096;

/// The identity provider's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read.
    #[error("the key file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// The file is not a JWKS document.
    #[error("expected a JWKS document (RFC 7517)")]
    NotJwks(#[source] serde_json::Error),
    /// The document has no key for ES256 signatures.
    #[error("expected at least one EC key on P-256 for signatures")]
    NoKey,
}

/// Verifies tokens of one issuer.
pub struct Verifier {
    keys: Vec<Key>,
    validation: Validation,
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
}

#[derive(Clone)]
struct Verified {
    until: Time,
    claims: Arc<Claims>,
}

/// A token's claims as they arrive.
#[derive(Deserialize)]
struct Received {
    exp: f64,
    #[serde(flatten)]
    claims: Claims,
}

impl Verifier {
    /// A verifier with the keys of a JWKS document; keys for anything but ES256 are ignored.
    ///
    /// # Errors
    /// The text is no JWKS document, or has no such key.
    pub fn from_jwks(jwks: &str, issuer: &str) -> Result<Self, JwksError> {
        let jwks: JwkSet = serde_json::from_str(jwks).map_err(JwksError::NotJwks)?;
        let keys: Vec<Key> = jwks.keys.iter().filter_map(es256_key).collect();
        if keys.is_empty() {
            return Err(JwksError::NoKey);
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY.as_secs();
        Ok(Self { keys, validation, verified: Mutex::default() })
    }

    /// A verifier with the keys of a file with a JWKS document.
    ///
    /// # Errors
    /// The file cannot be read, or see [`Self::from_jwks`].
    pub fn from_file(path: &Path, issuer: &str) -> Result<Self, JwksError> {
        Self::from_jwks(&std::fs::read_to_string(path).map_err(JwksError::Unreadable)?, issuer)
    }

    /// The claims of a token that is signed with one of the keys, meant for yima, and valid now.
    ///
    /// # Errors
    /// [`ProblemType::Unauthenticated`]; it names the failed check only for an expired token.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, Problem> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Problem::new(
                ProblemType::Unauthenticated,
                "The token is too long: a token has at most 4096 bytes",
            ));
        }
        let now = clock::now();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(verified) = self.verified.lock().get(&hash).filter(|verified| now < verified.until) {
            return Ok(Arc::clone(&verified.claims));
        }
        let Received { exp, claims } = self.check(token).map_err(|error| {
            let expired = matches!(error.kind(), ErrorKind::ExpiredSignature);
            let detail = if expired {
                "The token has expired: get a new one"
            } else {
                "The token is not valid: get one from the identity provider"
            };
            Problem::new(ProblemType::Unauthenticated, detail)
        })?;
        let claims = Arc::new(claims);
        // Only agencies': a citizen's token comes once, and has a document number, which must not stay in memory.
        if claims.allows(Scope::EventsWrite) {
            // Saturates, as does `from_secs`; a token without end is still verified again.
            let until = Time::from_secs(exp as i64).plus(LEEWAY).min(now.plus(CACHED_FOR));
            self.remember(hash, Verified { until, claims: Arc::clone(&claims) }, now);
        }
        Ok(claims)
    }

    /// Checks the token with the key that it names, or with each key when it names none.
    fn check(&self, token: &str) -> Result<Received, Error> {
        let named = jsonwebtoken::decode_header(token)?.kid;
        let fits = |key: &&Key| named.is_none() || key.id.is_none() || key.id == named;
        let mut result = Err(ErrorKind::InvalidSignature.into());
        for key in self.keys.iter().filter(fits) {
            result = jsonwebtoken::decode(token, &key.key, &self.validation).map(|token| token.claims);
            let other_key = result.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::InvalidSignature));
            if !other_key {
                break;
            }
        }
        result
    }

    /// Caches a verified token. Only the identity provider can fill the cache, since it issues these tokens.
    fn remember(&self, hash: [u8; 32], token: Verified, now: Time) {
        let mut verified = self.verified.lock();
        if verified.len() >= CACHED_TOKENS {
            verified.retain(|_, token| now < token.until);
        }
        if verified.len() >= CACHED_TOKENS {
            verified.clear();
        }
        verified.insert(hash, token);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} keys)", self.keys.len())
    }
}

/// A key for ES256 signatures; `None` for any other key, of which a JWKS document may have some.
fn es256_key(jwk: &jsonwebtoken::jwk::Jwk) -> Option<Key> {
    let AlgorithmParameters::EllipticCurve(curve) = &jwk.algorithm else { return None };
    let common = &jwk.common;
    let fits = curve.curve == EllipticCurve::P256
        && common.key_algorithm.is_none_or(|algorithm| algorithm == KeyAlgorithm::ES256)
        && common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let key = DecodingKey::from_jwk(jwk).ok()?;
    fits.then(|| Key { id: common.key_id.clone(), key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::Issuer;

    const HOUR: Duration = Duration::from_secs(3600);

    fn pair() -> (Issuer, Verifier) {
        let (pkcs8, _public) = Issuer::generate().unwrap();
        let issuer = Issuer::from_pkcs8(&pkcs8, "idp").unwrap();
        let verifier = Verifier::from_jwks(&serde_json::to_string(&issuer.jwks()).unwrap(), "idp").unwrap();
        (issuer, verifier)
    }

    #[test]
    fn a_verified_token_is_cached_no_longer_than_it_is_valid() {
        let (issuer, verifier) = pair();
        let claims = Claims { scope: "events:write".to_owned(), agency: Some("lab-7".to_owned()), ..Claims::default() };
        let token = issuer.issue(&claims, HOUR);
        let first = verifier.verify(&token).unwrap();
        assert_eq!(*first, claims);
        assert!(Arc::ptr_eq(&first, &verifier.verify(&token).unwrap()), "the second time it comes from the cache");
        let until = |verifier: &Verifier| verifier.verified.lock().values().map(|token| token.until).min().unwrap();
        assert!(until(&verifier) <= clock::now().plus(CACHED_FOR));

        let (issuer, verifier) = pair();
        verifier.verify(&issuer.issue(&claims, Duration::ZERO)).unwrap();
        assert!(until(&verifier) <= clock::now().plus(LEEWAY));
    }

    #[test]
    fn the_cache_is_bounded() {
        let (_, verifier) = pair();
        let now = clock::now();
        for number in 0..CACHED_TOKENS * 2 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            verifier.remember(hash, Verified { until: now.plus(HOUR), claims: Arc::default() }, now);
            assert!(verifier.verified.lock().len() <= CACHED_TOKENS);
        }
    }

    #[test]
    fn a_token_is_refused_when_another_key_has_its_key_id() {
        let ((issuer, verifier), (other, _)) = (pair(), pair());
        let mut foreign = other.jwks();
        foreign.keys[0].common.key_id = issuer.jwks().keys[0].common.key_id.clone();
        let misled = Verifier::from_jwks(&serde_json::to_string(&foreign).unwrap(), "idp").unwrap();
        let token = issuer.issue(&Claims::default(), HOUR);
        assert!(misled.verify(&token).is_err());
        assert!(verifier.verify(&token).is_ok());
        assert!(Verifier::from_jwks("{\"keys\":[]}", "idp").is_err());
    }
}
