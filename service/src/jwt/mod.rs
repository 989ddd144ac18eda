//! Identity tokens: ES256 JWTs (RFC 7519, RFC 7518 section 3.4) that an identity provider issues and yima verifies.

mod claims;
mod issuer;
mod verifier;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::DAY;

use crate::config;
use crate::http::ProblemResponse;

pub use claims::{Claims, Scope};
pub use issuer::{Issuer, SigningKeyError};
pub use verifier::{JwksError, Verifier};

/// The audience that every token must name (`aud`).
pub const AUDIENCE: &str = "yima";
/// Longest token that is verified, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4_096;

/// The issuer of the identity tokens that are accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct JwtConfig {
    /// `iss` of every identity token. Used with `keys_file`.
    pub issuer: String,
    /// The identity provider's public keys: a JWKS document (RFC 7517 section 5). A file, so that a dead identity
    /// provider stops no client; read at start. Without it the demo's own provider is used, which issues tokens to
    /// anyone (`/demo/…`); with it there is no `/demo/…`.
    pub keys_file: Option<PathBuf>,
    /// Longest life of a token, from `iat` (or now, if it has none) to `exp`. Longer ones are refused.
    #[serde(rename = "max_life_s", with = "config::S")]
    pub max_life: Duration,
    /// Signatures that may be wrong per second, of all clients together. Beyond it each wrong one costs one of the
    /// checks that all clients share: `read_api.limits.sign_in`, and 1,000 per second of a writer.
    pub failures_per_s: NonZeroU32,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: "yima-demo".to_owned(),
            keys_file: None,
            max_life: DAY * 7,
            failures_per_s: NonZeroU32::MIN.saturating_add(499),
        }
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1).
///
/// # Errors
/// [`ProblemType::Unauthenticated`] when there is none, with a challenge that names no error (section 3.1).
pub fn bearer(headers: &HeaderMap) -> Result<&str, ProblemResponse> {
    headers.get(header::AUTHORIZATION).and_then(|value| bearer_of(value.as_bytes())).ok_or_else(|| {
        let problem = Problem::new(ProblemType::Unauthenticated, "Send the token as Authorization: Bearer …");
        challenge(problem, HeaderValue::from_static("Bearer"))
    })
}

/// The token in a value of `Authorization`, if it is one of this scheme.
pub fn bearer_of(authorization: &[u8]) -> Option<&str> {
    const SCHEME: &[u8] = b"Bearer ";
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    let token = std::str::from_utf8(token.trim_ascii()).ok().filter(|token| !token.is_empty());
    token.filter(|_| scheme.eq_ignore_ascii_case(SCHEME))
}

/// The answer to a token without a scope (RFC 6750 section 3.1): [`ProblemType::Forbidden`] with `detail`.
pub fn insufficient_scope(scope: Scope, detail: impl Into<String>) -> ProblemResponse {
    let value = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.as_str());
    let value = HeaderValue::try_from(value).expect("a scope is visible ASCII");
    challenge(Problem::new(ProblemType::Forbidden, detail), value)
}

fn challenge(problem: Problem, value: HeaderValue) -> ProblemResponse {
    ProblemResponse::new(problem, HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_scheme_is_case_insensitive() {
        let with = |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&with("bearer  abc")).unwrap(), "abc");
        for other in ["Basic abc", "Bearer", "Bearer  ", "abc"] {
            assert_eq!(bearer(&with(other)).unwrap_err().problem().kind, ProblemType::Unauthenticated, "{other}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
