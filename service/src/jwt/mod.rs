//! Identity tokens: JWTs (RFC 7519) that an identity provider issues and yima verifies, signed by ES256, RS256 (RFC
//! 7518) or EdDSA (RFC 8037).

mod claim_names;
mod claims;
mod issuer;
mod keys;
mod verifier;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::DocumentType;
use yima_schema::time::DAY;

use crate::config::{self, Checks, Secret};
use crate::http::ProblemResponse;
use crate::oidc;

pub use claim_names::ClaimNames;
pub use claims::{Claims, Scope};
pub use issuer::{Issuer, SigningKeyError};
pub use keys::{CurrentKeys, JwksError, KeySet};
pub use verifier::{IdToken, Verifier};

/// The audience that every token must name (`aud`).
pub const AUDIENCE: &str = "yima";
/// Longest token that is verified, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4_096;

/// The issuer of the identity tokens that are accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct JwtConfig {
    /// `iss` of every identity token. Used with `keys_file` or `discovery`.
    pub issuer: String,
    /// The identity provider's public keys: a JWKS document (RFC 7517 section 5), read at start. Without it and
    /// `discovery` the demo's own provider is used, which issues tokens to anyone (`/demo/…`); with one of them there
    /// is no `/demo/…`.
    pub keys_file: Option<PathBuf>,
    /// Whether `issuer` is a URL from which [the provider's addresses and keys are
    /// fetched](guides/identity-provider.md) (OpenID Connect Discovery 1.0), in place of `keys_file`. They are kept in
    /// the data directory, so that a dead provider stops no client.
    pub discovery: bool,
    /// This deployment's name at the provider (`client_id`). With `discovery`, and with `read_api.public_url` or
    /// `writer.public_url`, people sign in at the provider's own page. Default: by tokens only.
    pub client_id: Option<String>,
    /// The secret of `client_id`: a text, best set in the environment, or `{ file = "…" }`. Without it the client is a
    /// public one, which PKCE alone protects.
    pub client_secret: Option<Secret>,
    /// Certificates of the authorities that sign the provider's certificate, PEM. Read at start, with an `issuer` of
    /// `https`.
    pub ca_file: PathBuf,
    /// Time between two fetches of the provider's addresses and keys.
    #[serde(rename = "refresh_s", with = "config::S")]
    pub refresh: Duration,
    /// Shortest time between two fetches, whatever asks for one: a token with an unknown key, or a sign-in. For so long
    /// a dead provider may go unnoticed at a sign-in. At least 1.
    #[serde(rename = "refetch_after_s", with = "config::S")]
    pub refetch_after: Duration,
    /// Type of a citizen's document where the token has no claim for it.
    #[schemars(with = "Option<String>")]
    pub document_type: Option<DocumentType>,
    /// Longest life of a token, from `iat` (or now, if it has none) to `exp`. Longer ones are refused.
    #[serde(rename = "max_life_s", with = "config::S")]
    pub max_life: Duration,
    /// Signatures that may be wrong per second, of all clients together. Beyond it each wrong one costs one of the
    /// checks that all clients share: `read_api.limits.sign_in`, and 1,000 per second of a writer.
    pub failures_per_s: NonZeroU32,
    /// Which claim says what.
    pub claims: ClaimNames,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: "yima-demo".to_owned(),
            keys_file: None,
            discovery: false,
            client_id: None,
            client_secret: None,
            ca_file: "/etc/ssl/certs/ca-certificates.crt".into(),
            refresh: Duration::from_secs(3_600),
            refetch_after: Duration::from_secs(10),
            document_type: None,
            claims: ClaimNames::default(),
            max_life: DAY * 7,
            failures_per_s: NonZeroU32::MIN.saturating_add(499),
        }
    }
}

impl JwtConfig {
    /// Whether tokens of another provider than the demo's are accepted.
    pub fn is_real(&self) -> bool {
        self.keys_file.is_some() || self.discovery
    }

    /// Checks the values and their relations to each other.
    pub fn check(&self, checks: &mut Checks<'_>) {
        const ISSUER: &str = "identity_provider.issuer";
        const DISCOVERY: &str = "identity_provider.discovery";
        const CLIENT_ID: &str = "identity_provider.client_id";
        const REFETCH_AFTER: &str = "identity_provider.refetch_after_s";
        let holds = !self.discovery || oidc::is_secure(&self.issuer);
        checks.expect(holds, ISSUER, &[DISCOVERY], "expected an https URL, since identity_provider.discovery is true");
        let holds = !self.discovery || self.keys_file.is_none();
        checks.expect(holds, DISCOVERY, &["identity_provider.keys_file"], "expected false with keys_file");
        let holds = self.discovery || self.client_id.is_none();
        checks.expect(holds, CLIENT_ID, &[DISCOVERY], "expected with identity_provider.discovery only");
        let holds = self.client_id.is_some() || self.client_secret.is_none();
        checks.expect(holds, "identity_provider.client_secret", &[CLIENT_ID], "expected with client_id only");
        let holds = self.refetch_after >= Duration::from_secs(1);
        checks.expect(holds, REFETCH_AFTER, &[], "expected at least 1");
        let holds = self.refresh >= self.refetch_after;
        let expected = format!("expected no less than {REFETCH_AFTER}");
        checks.expect(holds, "identity_provider.refresh_s", &[REFETCH_AFTER], expected);
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
