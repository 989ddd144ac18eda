//! The code on the phone: `YM1:` and Base45 (RFC 9285) of a CBOR array, as one QR alphanumeric segment.
//! `docs/code-format.md` is the specification.
//!
//! The array holds a token, which a read node has issued, and the phone's proof that it shows the token now. Two ways
//! of checking agree on every code, except on one that differs from a genuine one in its MAC alone: [`open`], of a read
//! node, which needs no signature to be checked, and [`verify`], of a scanner without a network.

pub(crate) mod cbor;
mod handle;
mod keys;
mod paper;
mod phone;
pub(crate) mod sign1;
mod snapshot;
mod token;
mod token_keys;
mod validity;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;

use std::time::Duration;

use crate::limits::MAX_CODE_CHARS;
use crate::seal::{SealError, SealKeys};
use crate::time::Time;

use self::cbor::Reader;
use self::phone::ProofError;
use self::token::Token;
use self::token_keys::MAC_BYTES;

pub use handle::Handle;
pub use keys::{DigestSigner, IssuerKey, IssuerKeyError, IssuerKeys, SignError, VerifyingKey};
pub use paper::Paper;
pub use phone::{PhoneKey, PhoneKeyPair};
pub use snapshot::{MAX_NAME_BYTES, MAX_WRITTEN_NAME_BYTES, Snapshot};
pub use token::{Claims, Issued, PhoneClaims};
pub use token_keys::{DenialTag, TokenKeys, TokenSecret};
pub use validity::{MAX_AHEAD, MAX_PAPER_LIFETIME, MAX_PROOF_AGE, MAX_TOKEN_LIFETIME, SLOT, Validity};

const PREFIX: &str = "YM1:";
/// Length of a phone's proof: r and s.
const PROOF_BYTES: usize = 64;

/// Why a code is refused, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not a yima code, or damaged in reading.
    #[error("not a yima code")]
    Malformed,
    /// The key id in the code names no known key, or the handle was sealed with an unknown one.
    #[error("issued by an unknown key")]
    UnknownIssuer,
    /// The issuer's signature does not verify with the key that the code names.
    #[error("the issuer's signature is wrong")]
    Forged,
    /// Rightly signed, or its handle was sealed, by a key that was revoked: anyone may have it.
    #[error("of a key that was revoked")]
    Revoked,
    /// The token is genuine, but another phone than its own shows it.
    #[error("not shown by the phone that it was issued to")]
    WrongPhone,
    /// From the future.
    #[error("not valid yet")]
    NotYetValid,
    /// Past the end of its token.
    #[error("expired")]
    Expired,
    /// Shown too long ago: a picture, or a phone with a wrong clock.
    #[error("shown too long ago")]
    StaleProof,
}

impl CodeError {
    /// The name of the reason, as a scan's answer has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Forged => "forged",
            Self::Revoked => "revoked_key",
            Self::WrongPhone => "wrong_phone",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::StaleProof => "stale_proof",
        }
    }
}

/// A genuine and current code, as a read node opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The region that issued the token: versions of two regions are not comparable.
    pub issuer: String,
    /// The handle.
    pub handle: Handle,
    /// What shows the code.
    pub shown_by: ShownBy,
    /// Whether a guardian shows it.
    pub by_guardian: bool,
}

/// Who or what shows a genuine code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ShownBy {
    /// A phone without a key, for a minute.
    Nothing,
    /// A phone with a key. `token` and `proof` tell tokens, and proofs of one token and moment, apart.
    Phone {
        /// The phone's id.
        phone: u64,
        /// Of the token.
        token: u64,
        /// The moment at which the phone says that it shows the token.
        at: Time,
        /// Of the whole code.
        proof: u64,
    },
    /// A print.
    Paper {
        /// By which it is ended.
        number: u64,
        /// When it was issued.
        issued_at: Time,
    },
}

/// A code as it was read, nothing of it verified.
struct Code<'a> {
    token: Token<'a>,
    shown: Shown<'a>,
}

/// How a code shows its token.
enum Shown<'a> {
    /// By nothing: a code of an earlier program.
    Format1,
    /// By the MAC of the read node that issued it: on a phone without a key, or on paper.
    Bare { mac: Mac<'a> },
    /// By a phone, at that moment.
    ByPhone { at: Time, key: PhoneKey, before: &'a [u8], proof: &'a [u8], mac: Mac<'a> },
}

/// A MAC, and the code's bytes before it.
struct Mac<'a> {
    before: &'a [u8],
    mac: &'a [u8],
}

/// The keys by which a read node opens codes.
#[derive(Clone, Copy)]
pub struct OpeningKeys<'a> {
    /// Open handles.
    pub handles: &'a SealKeys,
    /// Make the secrets of tokens again.
    pub tokens: &'a TokenKeys,
    /// The issuers whose codes are known.
    pub issuers: &'a IssuerKeys,
}

/// Opens a code as a read node does. `max_proof_age`: of a phone's code, its time since it was shown.
///
/// The handle is sealed beside the rest of the token, so that one that opens proves the token, and the MAC proves the
/// moment and every other byte. Signatures are checked of codes of an earlier program, and to tell why a code is
/// refused.
///
/// # Errors
/// The first reason in the order of [`CodeError`].
pub fn open(text: &str, keys: OpeningKeys<'_>, now: Time, max_proof_age: Duration) -> Result<Opened, CodeError> {
    let bytes = bytes_of(text).ok_or(CodeError::Malformed)?;
    let Code { token, shown } = Code::read(&bytes).ok_or(CodeError::Malformed)?;
    let is_of_revoked_key = token.is_of_revoked_key(keys.issuers)?;
    let unopened = |error| match error {
        SealError::Unknown => CodeError::UnknownIssuer,
        SealError::Revoked => CodeError::Revoked,
    };
    let (mac, if_wrong) = match &shown {
        Shown::Format1 => (None, CodeError::Forged),
        Shown::Bare { mac } => (Some(mac), CodeError::Forged),
        Shown::ByPhone { mac, .. } => (Some(mac), CodeError::WrongPhone),
    };
    let handle = match mac {
        None => {
            token.verify(keys.issuers)?;
            Handle::open_format_1(&token, keys.handles).map_err(unopened)?
        }
        Some(Mac { before, mac }) => {
            let handle = Handle::open(&token, keys.handles);
            match handle {
                Ok(handle) if keys.tokens.secret(token.handle).verify(before, mac) => handle,
                Ok(_) | Err(_) => {
                    token.verify(keys.issuers)?;
                    return Err(handle.err().map_or(if_wrong, unopened));
                }
            }
        }
    };
    if is_of_revoked_key {
        return Err(CodeError::Revoked);
    }
    token.claims.validity.check(shown.at(), now, max_proof_age)?;
    let shown_by = shown.by(&token, &handle);
    Ok(Opened { issuer: token.claims.issuer, handle, shown_by, by_guardian: token.claims.guardian })
}

/// Verifies a code as a scanner without a network does, by its signatures. Whether its tag is denied, and what the
/// snapshot means, says the caller.
///
/// # Errors
/// The first reason in the order of [`CodeError`].
pub fn verify(text: &str, issuers: &IssuerKeys, now: Time) -> Result<Claims, CodeError> {
    let bytes = bytes_of(text).ok_or(CodeError::Malformed)?;
    let Code { token, shown } = Code::read(&bytes).ok_or(CodeError::Malformed)?;
    match shown {
        Shown::Format1 => return Err(CodeError::Malformed),
        Shown::Bare { .. } => token.verify(issuers)?,
        Shown::ByPhone { key, before, proof, .. } => {
            token.verify(issuers)?;
            key.verify(before, proof).map_err(|error| match error {
                ProofError::NoPoint => CodeError::Malformed,
                ProofError::Wrong => CodeError::WrongPhone,
            })?;
        }
    }
    token.claims.validity.check(shown.at(), now, MAX_PROOF_AGE)?;
    Ok(token.claims)
}

impl<'a> Code<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let before = |reader: &Reader<'_>| &bytes[..bytes.len() - reader.rest().len()];
        let items = reader.array()?;
        let token = Token::read(reader.bytes()?)?;
        let mac = |reader: &mut Reader<'a>| {
            let before = before(reader);
            let mac = reader.bytes().filter(|mac| mac.len() == MAC_BYTES)?;
            Some(Mac { before, mac })
        };
        let Claims { phone, snapshot, paper, .. } = &token.claims;
        let shown = match (items, phone, snapshot.is_some() || paper.is_some()) {
            (1, None, false) => Shown::Format1,
            (2, None, true) => Shown::Bare { mac: mac(&mut reader)? },
            (4, Some(phone), true) => {
                let at = Time::from_secs(i64::try_from(reader.uint()?).ok()?);
                let before = before(&reader);
                let proof = reader.bytes().filter(|proof| proof.len() == PROOF_BYTES)?;
                Shown::ByPhone { at, key: phone.key, before, proof, mac: mac(&mut reader)? }
            }
            _ => return None,
        };
        reader.end()?;
        Some(Self { token, shown })
    }
}

impl Shown<'_> {
    /// Who shows a token with this handle.
    fn by(&self, token: &Token<'_>, handle: &Handle) -> ShownBy {
        // Seals and MACs are as random as their keys are secret.
        let last_8 = |bytes: &[u8]| bytes.last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
        match (self, handle.phone, &token.claims.paper) {
            (Self::ByPhone { at, mac, .. }, Some(phone), _) => {
                ShownBy::Phone { phone, token: last_8(token.handle), at: *at, proof: last_8(mac.mac) }
            }
            (_, Some(number), Some(_)) => ShownBy::Paper { number, issued_at: token.claims.validity.issued_at },
            _ => ShownBy::Nothing,
        }
    }

    fn at(&self) -> Option<Time> {
        match self {
            Self::Format1 | Self::Bare { .. } => None,
            Self::ByPhone { at, .. } => Some(*at),
        }
    }
}

/// The text of a code's bytes.
fn text_of(code: &[u8]) -> String {
    format!("{PREFIX}{}", base45::encode(code))
}

/// The bytes of a code's text, which is the only one of them but for white space around it.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let body = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_CODE_CHARS)?;
    let bytes = base45::decode(body).ok()?;
    // The library also reads two last characters above 255, modulo 256.
    let last = &bytes[bytes.len() - bytes.len() % 2..];
    body.ends_with(&base45::encode(last)).then_some(bytes)
}
