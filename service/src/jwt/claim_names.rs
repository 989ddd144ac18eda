//! Which claims of the identity provider's tokens mean what.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use yima_schema::limits::MAX_OPERATOR_CHARS;
use yima_schema::subject::DocumentType;

use super::Claims;
use crate::config;

/// Which claim of an identity token says what: its name, or with a `/` before it a JSON Pointer (RFC 6901) into claims
/// that are objects, such as `/realm_access/roles`. A claim that is not there means nothing; one of another type than
/// is expected makes the token invalid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct ClaimNames {
    /// [What the bearer may do](api.md#identity-tokens-jwt): words separated by spaces, or a list of words. Others are
    /// ignored, so a list of roles may be named.
    pub scope: String,
    /// The agency. What it may send says [the registry](#the-registry-of-agencies), and no claim.
    pub agency: String,
    /// The checkpoint.
    pub checkpoint: String,
    /// The checkpoint's policy: a number of hours.
    pub require_test_within_h: String,
    /// The type of a citizen's document.
    pub document_type: String,
    /// The number of a citizen's document.
    pub document_number: String,
    /// The person of an agency or a checkpoint, as [the audit log](data-model.md#audit-log) names them: up to 64
    /// visible ASCII characters; of any other name a digest. Of citizens it is not read.
    pub operator: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            scope: "scope".to_owned(),
            agency: "agency".to_owned(),
            checkpoint: "checkpoint".to_owned(),
            require_test_within_h: "require_test_within_h".to_owned(),
            document_type: "document_type".to_owned(),
            document_number: "document_number".to_owned(),
            operator: "sub".to_owned(),
        }
    }
}

impl ClaimNames {
    /// The claims that yima reads; `document_type` where the token has none. `None`: one has another type than it must.
    pub(super) fn read(&self, token: &Map<String, Value>, document_type: Option<DocumentType>) -> Option<Claims> {
        let text = |name: &str| match find(token, name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.clone())),
            Some(_) => None,
        };
        let scope = match find(token, &self.scope) {
            None => String::new(),
            Some(Value::String(words)) => words.clone(),
            Some(Value::Array(words)) => words.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(" "),
            Some(_) => return None,
        };
        let require_test_within_h = match find(token, &self.require_test_within_h) {
            None | Some(Value::Null) => None,
            // Some providers have texts only.
            Some(Value::String(hours)) => Some(hours.parse().ok()?),
            Some(hours) => Some(u16::try_from(hours.as_u64()?).ok()?),
        };
        let named_type = match find(token, &self.document_type) {
            None | Some(Value::Null) => None,
            Some(named) => Some(DocumentType::deserialize(named).ok()?),
        };
        let (agency, checkpoint) = (text(&self.agency)?, text(&self.checkpoint)?);
        // A subject's own name at the provider says nothing here, and is not kept.
        let is_staff = agency.is_some() || checkpoint.is_some();
        let operator = if is_staff { text(&self.operator)?.map(operator) } else { None };
        let document_number = text(&self.document_number)?;
        let document_type = named_type.or(document_type.filter(|_| document_number.is_some()));
        Some(Claims { scope, agency, checkpoint, require_test_within_h, document_type, document_number, operator })
    }

    /// What tells the holders of tokens from each other.
    pub(super) fn holder<'t>(&self, token: &'t Map<String, Value>) -> [Option<&'t Value>; 3] {
        [&self.document_type, &self.document_number, &self.checkpoint].map(|name| find(token, name))
    }
}

fn find<'t>(token: &'t Map<String, Value>, name: &str) -> Option<&'t Value> {
    let Some(path) = name.strip_prefix('/') else { return token.get(name) };
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let mut parts = path.split('/').map(unescape);
    let first = token.get(&parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// The name, if a session has room for it; else a digest, which tells its bearer from others just as well.
fn operator(name: String) -> String {
    if (1..=MAX_OPERATOR_CHARS).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return name;
    }
    format!("sha256:{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, name.as_bytes())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(names: &ClaimNames, token: Value) -> Option<Claims> {
        names.read(token.as_object().expect("an object"), Some(DocumentType::Passport))
    }

    #[test]
    fn claims_are_read_by_the_names_that_the_settings_give() {
        let names = ClaimNames {
            scope: "/realm_access/roles".to_owned(),
            document_number: "https://city.example/id".to_owned(),
            ..ClaimNames::default()
        };
        let token = json!({"sub": "u-1", "realm_access": {"roles": ["display", "offline_access"]},
            "https://city.example/id": "E12345678"});
        let claims = read(&names, token).unwrap();
        assert!(claims.allows(crate::jwt::Scope::Display));
        assert_eq!(claims.document_number.as_deref(), Some("E12345678"));
        assert_eq!(claims.document_type, Some(DocumentType::Passport));
        assert_eq!(claims.operator, None, "a citizen's name at the provider is not kept");
        let claims = read(&ClaimNames::default(), json!({"sub": "u-2", "checkpoint": "gate"})).unwrap();
        assert_eq!((claims.operator.as_deref(), claims.document_type), (Some("u-2"), None));
        let claims = read(&ClaimNames::default(), json!({"sub": "长".repeat(99), "agency": "lab-7"})).unwrap();
        assert!(claims.operator.is_some_and(|name| name.starts_with("sha256:") && name.len() == 50));
    }

    #[test]
    fn a_claim_of_another_type_makes_the_token_invalid() {
        for token in [
            json!({"scope": 1}),
            json!({"scope": ["display", 1]}),
            json!({"agency": ["lab-7"]}),
            json!({"require_test_within_h": -1}),
            json!({"require_test_within_h": "soon"}),
            json!({"document_type": "library_card"}),
            json!({"document_number": 7}),
        ] {
            assert!(read(&ClaimNames::default(), token.clone()).is_none(), "{token}");
        }
        let hours = read(&ClaimNames::default(), json!({"require_test_within_h": "48"})).unwrap();
        assert_eq!(hours.require_test_within_h, Some(48));
    }
}
