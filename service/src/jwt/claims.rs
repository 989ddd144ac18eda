//! What a token says of its bearer.

use std::fmt;

use serde::{Deserialize, Serialize};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::DocumentType;

/// What a bearer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Show their own code.
    Display,
    /// Scan other people's codes.
    Scan,
    /// Look people up by their identity document, beside [`Self::Scan`].
    ScanDocument,
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
            Self::EventsWrite => "events:write",
        }
    }
}

/// The claims of ours in a token; `iss`, `aud`, `exp` and `nbf` are checked with the signature. Prints without whom it is about.
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
    /// The checkpoint's policy: a negative nucleic-acid test no older than so many hours; without it, no test is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_test_within_h: Option<u16>,
    /// The type of the citizen's identity document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_type: Option<DocumentType>,
    /// The number of the citizen's identity document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_number: Option<String>,
}

impl Claims {
    /// Whether the token allows `scope`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scope.split_ascii_whitespace().any(|word| word == scope.as_str())
    }

    /// That the token allows `scope`.
    ///
    /// # Errors
    /// [`ProblemType::Forbidden`] naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        let missing = || Problem::new(ProblemType::Forbidden, format!("This needs the scope {}", scope.as_str()));
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
    use super::*;

    #[test]
    fn scopes_are_whole_words() {
        let claims = Claims { scope: "scan events:write".to_owned(), ..Claims::default() };
        assert!(claims.allows(Scope::Scan) && claims.allows(Scope::EventsWrite));
        assert_eq!(claims.require(Scope::Display).unwrap_err().kind, ProblemType::Forbidden);
        assert!(!Claims { scope: "scans".to_owned(), ..Claims::default() }.allows(Scope::Scan));
    }

    #[test]
    fn nobody_is_named_in_debug() {
        let claims = Claims {
            document_number: Some("E12345678".to_owned()),
            agency: Some("lab-7".to_owned()),
            ..Claims::default()
        };
        assert!(!format!("{claims:?}").contains("E123"));
    }
}
