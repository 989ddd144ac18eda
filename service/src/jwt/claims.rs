//! The claims of a token.

use std::fmt;

use serde::{Deserialize, Serialize};
use yima_schema::subject::DocumentType;

use super::insufficient_scope;
use crate::http::ProblemResponse;

/// A permission of a bearer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Show one's own code.
    Display,
    /// Scan other people's codes.
    Scan,
    /// Look subjects up by their identity document, besides [`Self::Scan`].
    ScanDocument,
    /// Scan as a machine that is shown the verdict alone; enough without [`Self::Scan`].
    ScanTurnstile,
    /// Scan as staff who are shown the times of tests too; enough without [`Self::Scan`].
    ScanHospital,
    /// Push events.
    EventsWrite,
}

impl Scope {
    /// The word in `scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Scan => "scan",
            Self::ScanDocument => "scan:document",
            Self::ScanTurnstile => "scan:turnstile",
            Self::ScanHospital => "scan:hospital",
            Self::EventsWrite => "events:write",
        }
    }
}

/// The claims that yima reads; `iss`, `aud`, `exp` and `nbf` are checked with the signature. `Debug` shows no names and
/// no documents.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Words separated by spaces (RFC 8693 section 4.2): see [`Scope`].
    pub scope: String,
    /// The agency that sends events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// The checkpoint that scans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The checkpoint's policy: a negative nucleic-acid test no older than this many hours; without it no test is
    /// required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_test_within_h: Option<u16>,
    /// The type of the citizen's identity document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_type: Option<DocumentType>,
    /// The number of the citizen's identity document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_number: Option<String>,
    /// The person of an agency or a checkpoint, by the identity provider's name for them (`sub`).
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl Claims {
    /// Whether the token allows `scope`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scope.split_ascii_whitespace().any(|word| word == scope.as_str())
    }

    /// Refuses a token that does not allow `scope`.
    ///
    /// # Errors
    /// [`ProblemType::Forbidden`](yima_schema::problem::ProblemType::Forbidden) naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), ProblemResponse> {
        let missing =
            || insufficient_scope(scope, format!("The token lacks the scope {}: use one that has it", scope.as_str()));
        self.allows(scope).then_some(()).ok_or_else(missing)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_scope_is_a_whole_word() {
        let claims = Claims { scope: "scan events:write".to_owned(), ..Claims::default() };
        assert!(claims.allows(Scope::Scan) && claims.allows(Scope::EventsWrite));
        let refused = claims.require(Scope::Display).unwrap_err().into_response();
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.headers()["www-authenticate"], "Bearer error=\"insufficient_scope\", scope=\"display\"");
        assert!(!Claims { scope: "scans".to_owned(), ..Claims::default() }.allows(Scope::Scan));
    }

    #[test]
    fn debug_shows_no_document_number() {
        let claims = Claims {
            document_number: Some("E12345678".to_owned()),
            agency: Some("lab-7".to_owned()),
            ..Claims::default()
        };
        assert!(!format!("{claims:?}").contains("E123"));
    }
}
