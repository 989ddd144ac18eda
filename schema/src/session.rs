//! Session tokens: the sealed facts that a read node needs about a caller, so that the hot path never verifies a JWT.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
        /// What it is shown of the people.
        role: ScanRole,
        /// Who of the staff, by the identity provider's name for them; 1 to 64 visible ASCII characters.
        operator: Option<String>,
    },
}

/// What a checkpoint is shown of the people whose codes it scans. The order of variants is sealed: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanRole {
    /// Staff at a gate: whom the code is of, the colour, results of tests without their times.
    #[default]
    Guard,
    /// A machine: the verdict and its reason. It cannot compare an identity document.
    Turnstile,
    /// Staff who treat people: the times of tests and who tested, too.
    Hospital,
}

/// A session as formats 1 and 2 have it: a checkpoint has no role, which means a guard.
#[derive(Serialize, Deserialize)]
struct Session2 {
    id: u64,
    expires_at: Time,
    holder: Holder2,
}

#[derive(Serialize, Deserialize)]
enum Holder2 {
    Citizen { subject: SubjectId },
    Checkpoint { checkpoint: String, require_test_within_h: Option<u16>, looks_up_documents: bool },
}

/// A session as format 3 has it: nobody of the staff is named.
#[derive(Serialize, Deserialize)]
struct Session3 {
    id: u64,
    expires_at: Time,
    holder: Holder3,
}

#[derive(Serialize, Deserialize)]
enum Holder3 {
    Citizen { subject: SubjectId },
    Checkpoint { checkpoint: String, require_test_within_h: Option<u16>, looks_up_documents: bool, role: ScanRole },
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
        let plain = match &self.holder {
            Holder::Citizen { .. } => postcard::to_extend(&(self, self.started_at), vec![1]),
            // So does a program before there were roles, or before the staff had names.
            Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator: None } => {
                let (checkpoint, looks_up_documents, role) = (checkpoint.clone(), *looks_up_documents, *role);
                let (require_test_within_h, id, expires_at) = (*require_test_within_h, self.id, self.expires_at);
                if role == ScanRole::Guard {
                    let holder = Holder2::Checkpoint { checkpoint, require_test_within_h, looks_up_documents };
                    postcard::to_extend(&(Session2 { id, expires_at, holder }, self.started_at), vec![2])
                } else {
                    let holder = Holder3::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role };
                    postcard::to_extend(&(Session3 { id, expires_at, holder }, self.started_at), vec![3])
                }
            }
            Holder::Checkpoint { .. } => postcard::to_extend(&(self, self.started_at), vec![4]),
        };
        URL_SAFE_NO_PAD.encode(keys.seal(&plain.expect("a session always encodes")))
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
            [1, body @ ..] => {
                Self::decode::<Session2>(body).or_else(|_| Self::decode::<Session2>(&[body, &[0]].concat()))
            }
            [2, body @ ..] => Self::decode::<Session2>(body),
            [3, body @ ..] => Self::decode::<Session3>(body),
            [4, body @ ..] => Self::decode::<Self>(body),
            _ => Err(SealError::Unknown),
        }
    }

    fn decode<'a, S: Deserialize<'a> + Into<Self>>(body: &'a [u8]) -> Result<Self, SealError> {
        let (session, rest) = postcard::take_from_bytes::<S>(body).map_err(|_| SealError::Unknown)?;
        let started_at = if rest.is_empty() {
            Time::default()
        } else {
            postcard::from_bytes(rest).map_err(|_| SealError::Unknown)?
        };
        Ok(Self { started_at, ..session.into() })
    }
}

impl From<Session2> for Session {
    fn from(Session2 { id, expires_at, holder }: Session2) -> Self {
        let holder = match holder {
            Holder2::Citizen { subject } => Holder::Citizen { subject },
            Holder2::Checkpoint { checkpoint, require_test_within_h, looks_up_documents } => {
                let (role, operator) = (ScanRole::Guard, None);
                Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator }
            }
        };
        Self { id, started_at: Time::default(), expires_at, holder }
    }
}

impl From<Session3> for Session {
    fn from(Session3 { id, expires_at, holder }: Session3) -> Self {
        let holder = match holder {
            Holder3::Citizen { subject } => Holder::Citizen { subject },
            Holder3::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role } => {
                let operator = None;
                Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator }
            }
        };
        Self { id, started_at: Time::default(), expires_at, holder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_OPERATOR_CHARS;

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
    fn the_longest_session_that_names_its_operator_opens() {
        let keys = SealKeys::new(&[[3; 32]], "session");
        let holder = Holder::Checkpoint {
            checkpoint: "g".repeat(64),
            require_test_within_h: Some(u16::MAX),
            looks_up_documents: true,
            role: ScanRole::Hospital,
            operator: Some("o".repeat(MAX_OPERATOR_CHARS)),
        };
        let (started_at, expires_at) = (Time::from_secs(1_900_000_000), Time::from_secs(1_900_043_200));
        let session = Session { id: u64::MAX, started_at, expires_at, holder };
        assert!(Session::open(&session.seal(&keys), &keys).unwrap() == session);
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
            role: ScanRole::Guard,
            operator: None,
        });
        assert!(open(&citizen).unwrap() == of_citizen);
        assert!(open(&checkpoint).unwrap() == of_checkpoint);
        assert!(Session::open(&of_checkpoint.seal(&keys), &keys).unwrap() == of_checkpoint);
        assert!(open(&[&[2], &checkpoint[1..]].concat()).is_err(), "format 2 has looks_up_documents");
        assert!(open(&checkpoint[..9]).is_err());
        let of_turnstile = session(Holder::Checkpoint {
            checkpoint: "gate-1".into(),
            require_test_within_h: None,
            looks_up_documents: false,
            role: ScanRole::Turnstile,
            operator: None,
        });
        assert!(Session::open(&of_turnstile.seal(&keys), &keys).unwrap() == of_turnstile);

        // A program of format 1 skips the start, which follows.
        let mut sealed = URL_SAFE_NO_PAD.decode(of_citizen.seal(&keys)).unwrap();
        assert_eq!(keys.open(&mut sealed).unwrap_or_default(), [&citizen[..], &[0]].concat());
    }
}
