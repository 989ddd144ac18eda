//! Session tokens: the sealed facts that a read node needs about a caller, so that the hot path never verifies a JWT.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::seal::{SealError, SealKeys};
use crate::subject::SubjectId;
use crate::time::Time;

/// Longest session token that is opened, in characters.
pub const MAX_TOKEN_CHARS: usize = 256;

/// The holder of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A citizen, who shows their own code.
    Citizen {
        /// The citizen's subject.
        subject: SubjectId,
    },
    /// The staff of a checkpoint.
    Checkpoint {
        /// The checkpoint's name: the unit of its rate limit.
        checkpoint: String,
        /// The checkpoint's policy: maximum age of a negative nucleic-acid test in hours; `None` requires no test.
        require_test_within_h: Option<u16>,
        /// Whether the checkpoint may also look subjects up by identity document, without a code.
        looks_up_documents: bool,
    },
}

/// An opened session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Random.
    pub id: u64,
    /// When it started; 1970 if its token does not say so.
    #[serde(skip)]
    pub started_at: Time,
    /// When the session ends.
    pub expires_at: Time,
    /// The holder.
    pub holder: Holder,
}

impl Session {
    /// The token, sent as `Authorization: Bearer …`: base64url of the sealed session with its format byte.
    ///
    /// # Panics
    /// Never: a session always encodes.
    pub fn seal(&self, keys: &SealKeys) -> String {
        // A citizen's session has not changed since format 1 but for its start at the end, so a program that only reads
        // format 1 (after a rollback) still opens it: that skips what follows a session.
        let format = match self.holder {
            Holder::Citizen { .. } => 1,
            Holder::Checkpoint { .. } => 2,
        };
        let plain = postcard::to_extend(&(self, self.started_at), vec![format]).expect("a session always encodes");
        URL_SAFE_NO_PAD.encode(keys.seal(&plain))
    }

    /// Opens a token. The caller checks whether it has expired.
    ///
    /// # Errors
    /// Too long, altered, not sealed by these keys, or sealed by a key that was revoked.
    pub fn open(token: &str, keys: &SealKeys) -> Result<Self, SealError> {
        // On the stack: for a citizen, the hot path allocates nothing here.
        let mut buffer = [0; MAX_TOKEN_CHARS];
        if token.len() > MAX_TOKEN_CHARS {
            return Err(SealError::Unknown);
        }
        let len = URL_SAFE_NO_PAD.decode_slice(token, &mut buffer).map_err(|_| SealError::Unknown)?;
        match keys.open(&mut buffer[..len])? {
            // A checkpoint's session of format 1 ends before `looks_up_documents`, which is then false.
            [1, body @ ..] => Self::decode(body).or_else(|_| Self::decode(&[body, &[0]].concat())),
            [2, body @ ..] => Self::decode(body),
            _ => Err(SealError::Unknown),
        }
    }

    fn decode(body: &[u8]) -> Result<Self, SealError> {
        let (session, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| SealError::Unknown)?;
        let started_at = if rest.is_empty() {
            Time::default()
        } else {
            postcard::from_bytes(rest).map_err(|_| SealError::Unknown)?
        };
        Ok(Self { started_at, ..session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_session_opens_and_a_forged_one_does_not() {
        let keys = SealKeys::new(&[[3; 32]], "session");
        let subject = SubjectId::from_bytes([5; 16]);
        let (started_at, expires_at) = (Time::from_secs(10), Time::from_secs(100));
        let session = Session { id: 9, started_at, expires_at, holder: Holder::Citizen { subject } };
        let token = session.seal(&keys);
        assert!(Session::open(&token, &keys).unwrap() == session);
        assert!(Session::open(&token[1..], &keys).is_err());
        assert!(Session::open(&"A".repeat(10_000), &keys).is_err());
        assert!(Session::open("", &keys).is_err());
    }

    #[test]
    fn sessions_of_format_1_open_and_citizens_still_get_format_1() {
        let keys = SealKeys::new(&[[3; 32]], "session");
        let open = |plain: &[u8]| Session::open(&URL_SAFE_NO_PAD.encode(keys.seal(plain)), &keys);
        // As written by a program that knew only format 1: id 9, ends at second 100.
        let citizen = [&[1, 9, 0xc0, 0x9a, 0x0c, 0][..], &[5; 16]].concat();
        let checkpoint = [&[1, 9, 0xc0, 0x9a, 0x0c, 1, 6][..], b"gate-1", &[1, 48]].concat();
        let (started_at, expires_at) = (Time::default(), Time::from_secs(100));
        let session = |holder| Session { id: 9, started_at, expires_at, holder };
        let of_citizen = session(Holder::Citizen { subject: SubjectId::from_bytes([5; 16]) });
        let of_checkpoint = session(Holder::Checkpoint {
            checkpoint: "gate-1".into(),
            require_test_within_h: Some(48),
            looks_up_documents: false,
        });
        assert!(open(&citizen).unwrap() == of_citizen);
        assert!(open(&checkpoint).unwrap() == of_checkpoint);
        assert!(Session::open(&of_checkpoint.seal(&keys), &keys).unwrap() == of_checkpoint);
        assert!(open(&[&[2], &checkpoint[1..]].concat()).is_err(), "format 2 has looks_up_documents");
        assert!(open(&checkpoint[..9]).is_err());

        // A program of format 1 skips the start, which follows.
        let mut sealed = URL_SAFE_NO_PAD.decode(of_citizen.seal(&keys)).unwrap();
        assert_eq!(keys.open(&mut sealed).unwrap_or_default(), [&citizen[..], &[0]].concat());
    }
}
