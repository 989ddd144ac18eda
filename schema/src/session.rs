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
        // A citizen's has not changed since format 1: whoever reads no other yet, as after a rollback, reads it.
        let format = match self.holder {
            Holder::Citizen { .. } => 1,
            Holder::Checkpoint { .. } => 2,
        };
        let plain = postcard::to_extend(self, vec![format]).expect("a session always encodes");
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
            // A checkpoint's of format 1 ends before the right to look up documents: it has none.
            [1, body @ ..] => postcard::from_bytes(body).or_else(|_| postcard::from_bytes(&[body, &[0]].concat())),
            [2, body @ ..] => postcard::from_bytes(body),
            _ => return Err(NotOurs),
        }
        .map_err(|_| NotOurs)
    }
}

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

    #[test]
    fn sessions_of_format_1_are_opened_and_citizens_are_still_given_it() {
        let keys = SealKeys::new(&[[3; 32]], "session");
        let open = |plain: &[u8]| Session::open(&URL_SAFE_NO_PAD.encode(keys.seal(plain)), &keys);
        // As the program wrote them that had no other format: id 9, to the second 100.
        let citizen = [&[1, 9, 0xc0, 0x9a, 0x0c, 0][..], &[5; 16]].concat();
        let checkpoint = [&[1, 9, 0xc0, 0x9a, 0x0c, 1, 6][..], b"gate-1", &[1, 48]].concat();
        let session = |holder| Session { id: 9, expires_at: Time::from_secs(100), holder };
        let of_citizen = session(Holder::Citizen { subject: SubjectId::from_bytes([5; 16]) });
        let of_checkpoint = session(Holder::Checkpoint {
            checkpoint: "gate-1".into(),
            require_test_within_h: Some(48),
            looks_up_documents: false,
        });
        assert!(open(&citizen).unwrap() == of_citizen);
        assert!(open(&checkpoint).unwrap() == of_checkpoint);
        assert!(Session::open(&of_checkpoint.seal(&keys), &keys).unwrap() == of_checkpoint);
        assert!(open(&[&[2], &checkpoint[1..]].concat()).is_err(), "format 2 says whether documents may be looked up");
        assert!(open(&checkpoint[..9]).is_err());

        let mut sealed = URL_SAFE_NO_PAD.decode(of_citizen.seal(&keys)).unwrap();
        assert_eq!(keys.open(&mut sealed).unwrap_or_default(), citizen);
    }
}
