//! The provider's metadata (OpenID Connect Discovery 1.0 section 3).

use serde::Deserialize;

use super::is_secure;

/// What is used of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Metadata {
    /// The provider's name, its URL.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people sign out (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
    /// Whether it names itself in each answer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// The metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It is not such a document.
    #[error("expected the provider's metadata (OpenID Connect Discovery 1.0)")]
    NotMetadata(#[source] serde_json::Error),
    /// It is another provider's: `issuer` has to be the setting, to the letter.
    #[error("issuer: expected the value of the setting identity_provider.issuer")]
    OtherIssuer,
    /// An address is not secure; the name of the member.
    #[error("{0}: expected an https URL")]
    Insecure(&'static str),
    /// The provider offers no PKCE by SHA-256 (RFC 7636).
    #[error("code_challenge_methods_supported: expected S256")]
    NoPkce,
}

impl Metadata {
    /// Reads and checks the document of this issuer.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        let metadata: Self = serde_json::from_slice(document).map_err(MetadataError::NotMetadata)?;
        if metadata.issuer != issuer {
            return Err(MetadataError::OtherIssuer);
        }
        let end_session = metadata.end_session_endpoint.as_deref().unwrap_or(issuer);
        for (name, address) in [
            ("authorization_endpoint", metadata.authorization_endpoint.as_str()),
            ("token_endpoint", &metadata.token_endpoint),
            ("jwks_uri", &metadata.jwks_uri),
            ("end_session_endpoint", end_session),
        ] {
            if !is_secure(address) {
                return Err(MetadataError::Insecure(name));
            }
        }
        // A provider that does not say may have it: it then ignores what it does not know.
        let methods = metadata.code_challenge_methods_supported.as_deref();
        let has_pkce = methods.is_none_or(|methods| methods.iter().any(|method| method == "S256"));
        if has_pkce { Ok(metadata) } else { Err(MetadataError::NoPkce) }
    }
}
