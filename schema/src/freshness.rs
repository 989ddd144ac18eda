//! The freshness token of an accepted event: names the event's place in the log of views, so that its holder can demand
//! answers that are no older.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::seal::SealKeys;
use crate::subject::SubjectId;
use crate::time::Time;
use crate::view::Version;

/// Longest freshness token that is opened, in characters.
const MAX_TOKEN_CHARS: usize = 256;

/// The content of a freshness token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// The region that accepted the event: versions of two regions are not comparable.
    pub region: String,
    /// The subject of the event.
    pub subject: SubjectId,
    /// A version of the subject's view in that region that has the event.
    pub version: Version,
    /// When the writer had published that view, by its own clock: the event was acknowledged then or later.
    pub moment: Time,
}

const FORMAT: u8 = 1;

impl Freshness {
    /// The token: base64url of the sealed content with its format byte.
    pub fn seal(&self, keys: &SealKeys) -> String {
        URL_SAFE_NO_PAD.encode(keys.seal(&codec::encode(FORMAT, self)))
    }

    /// Opens a token; `None` if it was altered, or these keys did not seal it.
    pub fn open(token: &[u8], keys: &SealKeys) -> Option<Self> {
        if token.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        codec::decode("freshness token", FORMAT, keys.open(&mut sealed).ok()?).ok()
    }
}

impl fmt::Debug for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Freshness(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::PseudonymKey;

    #[test]
    fn a_token_opens_in_every_region_that_has_the_pseudonym_key_and_nowhere_else() {
        let keys = || PseudonymKey::from_bytes(&[7; 32]).seal_keys("freshness");
        let subject = SubjectId::from_bytes([5; 16]);
        let content =
            Freshness { region: "xian".into(), subject, version: Version(1 << 48), moment: Time::from_secs(1) };
        let token = content.seal(&keys());
        assert!(token.len() <= 128, "{}", token.len());
        assert!(Freshness::open(token.as_bytes(), &keys()).unwrap() == content);
        let elsewhere = PseudonymKey::from_bytes(&[8; 32]).seal_keys("freshness");
        assert!(Freshness::open(token.as_bytes(), &elsewhere).is_none());
        let other_purpose = PseudonymKey::from_bytes(&[7; 32]).seal_keys("other");
        assert!(Freshness::open(token.as_bytes(), &other_purpose).is_none());
        for garbage in ["", "x", &token[1..], &"A".repeat(10_000)] {
            assert!(Freshness::open(garbage.as_bytes(), &keys()).is_none());
        }
    }
}
