//! Identity tokens: ES256 JWTs (RFC 7519, RFC 7518 section 3.4) that an identity provider issues and yima verifies.

mod claims;
mod issuer;
mod verifier;

use std::path::PathBuf;

use axum::http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::problem::{Problem, ProblemType};

use crate::config;

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
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self { issuer: "yima-demo".to_owned(), keys_file: None }
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1).
///
/// # Errors
/// [`ProblemType::Unauthenticated`] when there is none.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    const SCHEME: &[u8] = b"Bearer ";
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(SCHEME.len()));
    sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .and_then(|(_, token)| std::str::from_utf8(token.trim_ascii()).ok())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Problem::new(ProblemType::Unauthenticated, "Send the token as Authorization: Bearer …"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_scheme_is_case_insensitive() {
        let with = |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&with("bearer  abc")).unwrap(), "abc");
        for other in ["Basic abc", "Bearer", "Bearer  ", "abc"] {
            assert_eq!(bearer(&with(other)).unwrap_err().kind, ProblemType::Unauthenticated, "{other}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
