//! Verifies tokens, with a small cache: an agency sends the same token with each request, and a signature takes about
//! 70 µs to check.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::DocumentType;
use yima_schema::time::Time;

use super::keys::{CurrentKeys, Key, KeySet};
use super::{AUDIENCE, ClaimNames, Claims, JwksError, JwtConfig, MAX_TOKEN_BYTES, Scope};
use crate::clock;
use crate::http::ProblemResponse;
use crate::http::unique_members;
use crate::rate_limit::{RateConfig, RateLimiter};

/// How far the identity provider's clock may be off this machine's.
const LEEWAY: Duration = Duration::from_secs(60);
/// Characters of a signature by ES256 or EdDSA: 64 bytes in base64url (RFC 7518 section 3.4, RFC 8032 section 5.1.6).
const EC_SIGNATURE_CHARS: usize = 86;
/// Characters of a signature by RS256: as many bits as the key, 2,048 to 4,096.
const RSA_SIGNATURE_CHARS: RangeInclusive<usize> = 342..=683;
/// The types of a JWT and of an access token (RFC 7519 section 5.1, RFC 9068 section 2.1); a token may have none. Other
/// types are of tokens for another purpose.
const TYPES: [&str; 4] = ["JWT", "at+jwt", "application/jwt", "application/at+jwt"];
/// How long a verified token is trusted before it is verified again.
const CACHED_FOR: Duration = Duration::from_secs(300);
/// Most tokens in the cache, a few hundred bytes each.
const CACHED_TOKENS: usize = 4_096;

/// Verifies tokens of one issuer.
pub struct Verifier {
    keys: Arc<CurrentKeys>,
    validation: Validation,
    names: ClaimNames,
    document_type: Option<DocumentType>,
    max_life: Duration,
    /// Failed checks of all clients together.
    failures: RateLimiter,
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

/// What a token's header says.
struct Head {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Head {
    fn fits(&self, key: &Key) -> bool {
        key.algorithm == self.algorithm && (self.kid.is_none() || key.id.is_none() || key.id == self.kid)
    }
}

/// What an ID token has to be beside valid (OpenID Connect Core 1.0 section 3.1.3.7).
pub struct IdToken<'a> {
    /// Whom it is meant for.
    pub client_id: &'a str,
    /// The text that the sign-in was begun with.
    pub nonce: &'a str,
}

#[derive(Clone)]
struct Verified {
    until: Time,
    claims: Arc<Claims>,
}

/// A token's claims as they arrive. Times are numbers of seconds; the library ignores any that it cannot read.
#[derive(Deserialize)]
struct Received {
    /// One text; the library would accept a list.
    #[serde(rename = "iss")]
    _issuer: String,
    exp: f64,
    #[serde(default, deserialize_with = "number")]
    iat: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A number where there is a member; not null.
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(value).map(Some)
}

/// Why a token is refused.
enum Refusal {
    /// It is not what the identity provider issues.
    Invalid,
    Expired,
    /// It lives longer than tokens may.
    LongLived,
}

impl Verifier {
    /// A verifier with the keys in force.
    pub fn new(keys: Arc<CurrentKeys>, config: &JwtConfig) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY.as_secs();
        let failures = RateConfig::new(config.failures_per_s.get(), Duration::from_secs(1));
        let failures = RateLimiter::new("failed-sign-in", &failures);
        let (names, document_type) = (config.claims.clone(), config.document_type);
        let max_life = config.max_life;
        Self { keys, validation, names, document_type, max_life, failures, verified: Mutex::default() }
    }

    /// A verifier with the keys of a JWKS document; others than are read here are ignored.
    ///
    /// # Errors
    /// The text is no JWKS document, or has no key that can be used.
    pub fn from_jwks(jwks: &str, config: &JwtConfig) -> Result<Self, JwksError> {
        Ok(Self::new(CurrentKeys::fixed(KeySet::from_jwks(jwks)?), config))
    }

    /// A verifier with the keys of a file with a JWKS document.
    ///
    /// # Errors
    /// The file cannot be read, or see [`Self::from_jwks`].
    pub fn from_file(path: &Path, config: &JwtConfig) -> Result<Self, JwksError> {
        Self::from_jwks(&std::fs::read_to_string(path).map_err(JwksError::Unreadable)?, config)
    }

    /// The claims of a token that is signed with one of the keys, meant for yima, and valid now.
    ///
    /// What a token looks like is judged first, and costs its sender nothing. A signature costs one of `checks`, the
    /// budget that all clients share; unless the check fails while the budget for failures has some left: it then costs
    /// one of that. So wrong tokens, however many, leave `checks` to the others as long as their failures fit their
    /// own budget, and what is looked at here keeps most of them from costing anything.
    ///
    /// # Errors
    /// [`ProblemType::Unauthenticated`]; it names the failed check only for an expired or a long-lived token.
    /// [`ProblemType::TooManyRequests`] when `checks` are spent. [`ProblemType::Unavailable`] for a key that is not
    /// known yet: the provider is asked now.
    pub fn verify(&self, token: &str, checks: &RateLimiter) -> Result<Arc<Claims>, ProblemResponse> {
        refuse_long(token)?;
        let now = clock::now();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(verified) = self.verified.lock().get(&hash).filter(|verified| now < verified.until) {
            return Ok(Arc::clone(&verified.claims));
        }
        let keys = self.keys.load();
        let head = self.known_head(token, &keys, now)?;
        let is_prepaid = self.failures.is_spent() || checks.is_spent();
        if is_prepaid {
            checks.take_shared()?;
        }
        let checked = self.check(token, &head, &keys, AUDIENCE, now);
        if !is_prepaid {
            match &checked {
                Ok(_) => _ = checks.take_shared()?,
                // Over this budget the next failure costs one of `checks`.
                Err(_) => _ = self.failures.take_shared(),
            }
        }
        let Received { exp, others, .. } = checked.map_err(|refusal| problem(&refusal))?;
        let claims = Arc::new(self.claims(&others)?);
        // Only agencies': a citizen's token comes once, and has a document number, which must not stay in memory.
        if claims.allows(Scope::EventsWrite) {
            // Saturates, as does `from_secs`; a token without end is still verified again.
            let until = Time::from_secs(exp as i64).plus(LEEWAY).min(now.plus(CACHED_FOR));
            self.remember(hash, Verified { until, claims: Arc::clone(&claims) }, now);
        }
        Ok(claims)
    }

    /// The claims of an ID token that the provider has handed over for a code. Where [`Self::verify`] is for what
    /// anybody may send, this costs no budget.
    ///
    /// # Errors
    /// [`ProblemType::Unauthenticated`], also for one that was issued for something else. [`ProblemType::Unavailable`]
    /// for a key that is not known here.
    pub fn verify_id_token(&self, token: &str, is: &IdToken<'_>) -> Result<Claims, ProblemResponse> {
        refuse_long(token)?;
        let (now, keys) = (clock::now(), self.keys.load());
        let head = head(token).ok_or_else(|| problem(&Refusal::Invalid))?;
        if !keys.0.iter().any(|key| head.fits(key)) {
            return Err(unknown_key());
        }
        let received = self.check(token, &head, &keys, is.client_id, now).map_err(|refusal| problem(&refusal))?;
        let text = |name: &str| received.others.get(name).and_then(Value::as_str);
        // One that names several is for the party that it was authorised for.
        let is_alone = received.others.get("aud").is_none_or(|aud| aud.as_array().is_none_or(|all| all.len() == 1));
        let is_ours = text("azp").map_or(is_alone, |party| party == is.client_id);
        if !is_ours || text("nonce") != Some(is.nonce) {
            return Err(problem(&Refusal::Invalid));
        }
        self.claims(&received.others)
    }

    fn claims(&self, token: &Map<String, Value>) -> Result<Claims, ProblemResponse> {
        self.names.read(token, self.document_type).ok_or_else(|| problem(&Refusal::Invalid))
    }

    /// Names whom a token says it is of, without a check of its signature: each token of one person or checkpoint gives
    /// the same. Costs its sender nothing.
    ///
    /// # Errors
    /// [`ProblemType::Unauthenticated`] for what no token of the identity provider looks like.
    pub fn claimed_holder(&self, token: &str) -> Result<[u8; 32], ProblemResponse> {
        refuse_long(token)?;
        self.known_head(token, &self.keys.load(), clock::now())?;
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Option<Map<String, Value>> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        let claims = claims.ok_or_else(|| problem(&Refusal::Invalid))?;
        let names = serde_json::to_vec(&self.names.holder(&claims)).expect("JSON values always serialise");
        let mut holder = [0; 32];
        holder.copy_from_slice(digest(&SHA256, &names).as_ref());
        Ok(holder)
    }

    /// What a token's header says, if one of the keys fits it.
    fn known_head(&self, token: &str, keys: &KeySet, now: Time) -> Result<Head, ProblemResponse> {
        let head = head(token).ok_or_else(|| problem(&Refusal::Invalid))?;
        if keys.0.iter().any(|key| head.fits(key)) {
            return Ok(head);
        }
        if !self.keys.want(now) {
            return Err(problem(&Refusal::Invalid));
        }
        Err(unknown_key())
    }

    /// Checks the token with the key that it names, or with each key of its algorithm when it names none.
    fn check(&self, token: &str, head: &Head, keys: &KeySet, aud: &str, now: Time) -> Result<Received, Refusal> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![head.algorithm];
        validation.set_audience(&[aud]);
        let mut result = Err(ErrorKind::InvalidSignature.into());
        for key in keys.0.iter().filter(|key| head.fits(key)) {
            result = jsonwebtoken::decode(token, &key.key, &validation).map(|token| token.claims);
            let other_key = result.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::InvalidSignature));
            if !other_key {
                break;
            }
        }
        let received: Received = result.map_err(|error: Error| {
            let is_expired = matches!(error.kind(), ErrorKind::ExpiredSignature);
            if is_expired { Refusal::Expired } else { Refusal::Invalid }
        })?;
        // A second member of one name: which one counts is not the same for every reader (RFC 7519 section 4).
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        claims.filter(|claims| unique_members::check(claims).is_ok()).ok_or(Refusal::Invalid)?;
        let latest = now.plus(LEEWAY).as_secs() as f64;
        if [received.iat, received.nbf].into_iter().flatten().any(|time| time > latest) {
            return Err(Refusal::Invalid);
        }
        let now = now.as_secs() as f64;
        let begin = received.iat.map_or(now, |issued_at| issued_at.min(now));
        let longest = (self.max_life + LEEWAY).as_secs_f64();
        if received.exp - begin > longest { Err(Refusal::LongLived) } else { Ok(received) }
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

/// # Errors
/// [`ProblemType::Unauthenticated`].
fn refuse_long(token: &str) -> Result<(), Problem> {
    let detail = "The token is too long: a token has at most 4096 bytes";
    let is_long = token.len() > MAX_TOKEN_BYTES;
    if is_long { Err(Problem::new(ProblemType::Unauthenticated, detail)) } else { Ok(()) }
}

/// What a token's header says. `None`: no token of an identity provider looks so (RFC 7515 section 4.1, RFC 8725
/// section 3.11).
fn head(token: &str) -> Option<Head> {
    let mut parts = token.split('.');
    let (header, _claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    unique_members::check(&header).ok()?;
    let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    let text = |name: &str| match header.get(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text.as_str())),
        Some(_) => None,
    };
    let (algorithm, chars) = match text("alg")?? {
        "ES256" => (Algorithm::ES256, EC_SIGNATURE_CHARS..=EC_SIGNATURE_CHARS),
        "EdDSA" => (Algorithm::EdDSA, EC_SIGNATURE_CHARS..=EC_SIGNATURE_CHARS),
        "RS256" => (Algorithm::RS256, RSA_SIGNATURE_CHARS),
        // `none`, HS256 and whatever else there is.
        _ => return None,
    };
    let is_known_type = text("typ")?.is_none_or(|given| TYPES.iter().any(|typ| typ.eq_ignore_ascii_case(given)));
    // `crit` names extensions that have to be understood; none is.
    if !chars.contains(&signature.len()) || !is_known_type || header.contains_key("crit") {
        return None;
    }
    Some(Head { algorithm, kid: text("kid")?.map(str::to_owned) })
}

fn unknown_key() -> ProblemResponse {
    let detail = "The key of this token is not known yet, and the identity provider is asked; try again shortly";
    Problem::new(ProblemType::Unavailable, detail).retry_after(2).into()
}

fn problem(refusal: &Refusal) -> ProblemResponse {
    let detail = match refusal {
        Refusal::Invalid => "The token is not valid: get one from the identity provider",
        Refusal::Expired => "The token has expired: get a new one",
        Refusal::LongLived => "The token lives too long: get one that expires sooner",
    };
    Problem::new(ProblemType::Unauthenticated, detail).into()
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} keys)", self.keys.load().0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::jwt::Issuer;

    const HOUR: Duration = Duration::from_secs(3600);

    fn pair() -> (Issuer, Verifier) {
        let (pkcs8, _public) = Issuer::generate().unwrap();
        let issuer = Issuer::from_pkcs8(&pkcs8, "idp").unwrap();
        let verifier = Verifier::from_jwks(&serde_json::to_string(&issuer.jwks()).unwrap(), &config()).unwrap();
        (issuer, verifier)
    }

    fn config() -> JwtConfig {
        JwtConfig { issuer: "idp".to_owned(), ..JwtConfig::default() }
    }

    fn checks(per_s: u32) -> RateLimiter {
        RateLimiter::new("sign-in", &RateConfig::new(per_s, Duration::from_secs(3_600)))
    }

    #[test]
    fn what_does_not_look_like_a_token_costs_nothing_and_failures_cost_their_own_budget() {
        let ((issuer, verifier), (other, _)) = (pair(), pair());
        let checks = checks(3);
        let good = || issuer.issue(&Claims::default(), HOUR);
        let kind = |token: &str| verifier.verify(token, &checks).map_err(|error| error.problem().kind);
        let unknown_key = other.issue(&Claims::default(), HOUR);
        let long = "A".repeat(5_000);
        for _ in 0..1_000 {
            for anonymous in ["x", "a.b.c", &long, &unknown_key] {
                assert_eq!(kind(anonymous).unwrap_err(), ProblemType::Unauthenticated);
            }
        }
        assert!(!verifier.failures.is_spent());
        let signed = good();
        let (signed, signature) = signed.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
        for _ in 0..100 {
            assert_eq!(kind(&forged).unwrap_err(), ProblemType::Unauthenticated);
        }
        // None of the three was used.
        for _ in 0..3 {
            assert!(kind(&good()).is_ok());
        }
        assert_eq!(kind(&good()).unwrap_err(), ProblemType::TooManyRequests);
    }

    #[test]
    fn failures_beyond_their_budget_cost_the_shared_one() {
        let (issuer, _) = pair();
        let config = JwtConfig { failures_per_s: NonZeroU32::MIN, ..config() };
        let verifier = Verifier::from_jwks(&serde_json::to_string(&issuer.jwks()).unwrap(), &config).unwrap();
        let checks = checks(5);
        let forged = (0..1_000).map(|n| {
            let token = issuer.issue(&Claims { scope: n.to_string(), ..Claims::default() }, HOUR);
            let (signed, signature) = token.rsplit_once('.').unwrap();
            format!("{signed}.{}", signature.chars().rev().collect::<String>())
        });
        let refused = forged.filter_map(|token| verifier.verify(&token, &checks).err());
        let limited = refused.filter(|error| error.problem().kind == ProblemType::TooManyRequests).count();
        assert!(limited > 0, "a flood of forged tokens costs no more than both budgets");
    }

    #[test]
    fn a_verified_token_is_cached_no_longer_than_it_is_valid() {
        let (issuer, verifier) = pair();
        let claims = Claims { scope: "events:write".to_owned(), agency: Some("lab-7".to_owned()), ..Claims::default() };
        let token = issuer.issue(&claims, HOUR);
        let first = verifier.verify(&token, &checks(9)).unwrap();
        assert_eq!(*first, claims);
        assert!(
            Arc::ptr_eq(&first, &verifier.verify(&token, &checks(9)).unwrap()),
            "the second time it comes from the cache"
        );
        let until = |verifier: &Verifier| verifier.verified.lock().values().map(|token| token.until).min().unwrap();
        assert!(until(&verifier) <= clock::now().plus(CACHED_FOR));

        let (issuer, verifier) = pair();
        verifier.verify(&issuer.issue(&claims, Duration::ZERO), &checks(9)).unwrap();
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
        let misled = Verifier::from_jwks(&serde_json::to_string(&foreign).unwrap(), &config()).unwrap();
        let token = issuer.issue(&Claims::default(), HOUR);
        assert!(misled.verify(&token, &checks(9)).is_err());
        assert!(verifier.verify(&token, &checks(9)).is_ok());
        assert!(Verifier::from_jwks("{\"keys\":[]}", &config()).is_err());
    }
}
