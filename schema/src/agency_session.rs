//! Sessions of people who send events for an agency, on the writer's page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::seal::SealKeys;
use crate::subject::PseudonymKey;
use crate::time::Time;

/// Longest token that is opened, in characters.
const MAX_TOKEN_CHARS: usize = 256;
const FORMAT: u8 = 1;

/// An opened session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgencySession {
    /// Random.
    pub id: u64,
    /// When it ends.
    pub expires_at: Time,
    /// The agency.
    pub agency: String,
    /// Who sends for it, by the identity provider's name for them.
    pub operator: Option<String>,
}

/// Seals and opens sessions; every writer of every region has the same key.
pub struct AgencySessionKeys(SealKeys);

impl AgencySessionKeys {
    /// By the pseudonym key, the one secret that all writers share.
    pub fn new(pseudonyms: &PseudonymKey) -> Self {
        Self(pseudonyms.seal_keys("agency session"))
    }

    /// The token, sent as `Authorization: Bearer …`.
    ///
    /// # Panics
    /// Never: a session always encodes.
    pub fn seal(&self, session: &AgencySession) -> String {
        let plain = postcard::to_extend(session, vec![FORMAT]).expect("a session always encodes");
        URL_SAFE_NO_PAD.encode(self.0.seal(&plain))
    }

    /// Opens a token. The caller checks whether it has expired. `None`: altered, or not sealed by such a key.
    pub fn open(&self, token: &str) -> Option<AgencySession> {
        if token.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let body = self.0.open(&mut sealed).ok()?.strip_prefix(&[FORMAT])?;
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_AGENCY_CHARS, MAX_OPERATOR_CHARS};

    #[test]
    fn the_longest_session_opens_and_an_altered_one_does_not() {
        let keys = AgencySessionKeys::new(&PseudonymKey::from_bytes(&[1; 32]));
        let session = AgencySession {
            id: u64::MAX,
            expires_at: Time::from_secs(1_900_000_000),
            agency: "a".repeat(MAX_AGENCY_CHARS),
            operator: Some("o".repeat(MAX_OPERATOR_CHARS)),
        };
        let token = keys.seal(&session);
        assert!(keys.open(&token) == Some(session));
        assert!(keys.open(&token[1..]).is_none());
        assert!(AgencySessionKeys::new(&PseudonymKey::from_bytes(&[2; 32])).open(&token).is_none());
    }
}
