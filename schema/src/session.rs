//! Session tokens: what a read node needs to know of a caller, sealed, so that the hot path never sees a JWT.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::seal::{NotOurs, SealKeys};
use crate::subject::SubjectId;
use crate::time::Time;

/// Longest session token that is looked at, in characters.
pub const MAX_TOKEN_CHARS: usize = 256;

/// Who holds a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A person who shows their own code.
    Citizen {
        /// Whose code.
        subject: SubjectId,
    },
    /// A checkpoint's staff.
    Checkpoint {
        /// The checkpoint's name: the unit of its rate limit.
        checkpoint: String,
        /// The checkpoint's policy: a negative nucleic-acid test no older than so many hours; `None` asks for no test.
        require_test_within_h: Option<u16>,
        /// Whether people may be looked up by their identity document too, without a code.
        looks_up_documents: bool,
    },
}

/// An opened session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Random; the unit of the citizen's rate limits.
    pub id: u64,
    /// When it ends.
    pub expires_at: Time,
    /// Whose it is.
    pub holder: Holder,
}

impl Session {
    /// The token that is sent as `Authorization: Bearer …`: base64url of the sealed, format-marked session.
    ///
    /// # Panics
    /// Never: a session always encodes.
    pub fn seal(&self, keys: &SealKeys) -> String {
        let plain = postcard::to_extend(self, vec![FORMAT]).expect("a session always encodes");
        URL_SAFE_NO_PAD.encode(keys.seal(&plain))
    }

    /// Opens a token. Whether it has expired is the caller's question.
    ///
    /// # Errors
    /// Too long, altered, or not sealed by these keys.
    pub fn open(token: &str, keys: &SealKeys) -> Result<Self, NotOurs> {
        // On the stack: the hot path allocates nothing here for a citizen.
        let mut buffer = [0; MAX_TOKEN_CHARS];
        if token.len() > MAX_TOKEN_CHARS {
            return Err(NotOurs);
        }
        let len = URL_SAFE_NO_PAD.decode_slice(token, &mut buffer).map_err(|_| NotOurs)?;
        match keys.open(&mut buffer[..len])? {
            [FORMAT, body @ ..] => postcard::from_bytes(body).map_err(|_| NotOurs),
            _ => Err(NotOurs),
        }
    }
}

const FORMAT: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_forgery() {
        let keys = SealKeys::new(&[[3; 32]], "session");
        let subject = SubjectId::from_bytes([5; 16]);
        let session = Session { id: 9, expires_at: Time::from_secs(100), holder: Holder::Citizen { subject } };
        let token = session.seal(&keys);
        assert!(Session::open(&token, &keys).unwrap() == session);
        assert!(Session::open(&token[1..], &keys).is_err());
        assert!(Session::open(&"A".repeat(10_000), &keys).is_err());
        assert!(Session::open("", &keys).is_err());
    }
}
