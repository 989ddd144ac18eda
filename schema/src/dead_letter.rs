//! Dead letters: rows with a result that is or may be positive and that was not understood, kept sealed until the
//! operator has told its code, and replayed then.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::seal::{SealError, SealKeys};
use crate::subject::{DocumentType, SubjectId};
use crate::time::{DAY, Time};

/// How long a letter is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * DAY.as_secs());

/// A row that was not understood.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The agency that sent the row.
    pub agency: String,
    /// When the row was received.
    pub received_at: Time,
    /// The subject of the row.
    pub subject: SubjectId,
    /// The subject's document number, masked.
    pub document: String,
    /// The type of that document.
    pub document_type: DocumentType,
    /// The code of the test, if it could be told.
    pub code: Option<String>,
    /// The element that was not understood, and what was expected there.
    pub reason: String,
    /// The row: a FHIR R4 resource as JSON.
    pub resource: Vec<u8>,
}

/// Names a letter: the day on which it was received (UTC, since 1970), then a digest of its content, so that the same
/// row of one day is one letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DeadLetterId {
    /// The day.
    pub day: u32,
    /// The digest.
    pub digest: [u8; 16],
}

/// The text is no id of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 40 hexadecimal digits")]
pub struct DeadLetterIdError;

const FORMAT: u8 = 1;

impl DeadLetter {
    /// The stored bytes.
    pub fn seal(&self, keys: &SealKeys) -> Vec<u8> {
        keys.seal(&codec::encode(FORMAT, self))
    }

    /// Opens [`Self::seal`].
    ///
    /// # Errors
    /// The bytes were sealed by another key, or altered.
    pub fn open(mut sealed: Vec<u8>, keys: &SealKeys) -> Result<Self, SealError> {
        let plain = keys.open(&mut sealed)?;
        codec::decode("dead letter", FORMAT, plain).map_err(|_: DecodeError| SealError::Unknown)
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadLetter(redacted)")
    }
}

impl DeadLetterId {
    /// The id of a letter received at `received_at`.
    pub fn new(received_at: Time, digest: [u8; 16]) -> Self {
        Self { day: Self::day_of(received_at), digest }
    }

    /// The number of a day; 0 before 1970.
    pub fn day_of(time: Time) -> u32 {
        u32::try_from(time.utc_day()).unwrap_or(0)
    }

    /// The first day that is still kept at `now`.
    pub fn first_kept_day(now: Time) -> u32 {
        Self::day_of(now.minus(KEPT_FOR))
    }

    /// Its 20 bytes, in the order of days.
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.day.to_be_bytes());
        bytes[4..].copy_from_slice(&self.digest);
        bytes
    }

    /// Reads [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (day, digest) = bytes.split_first_chunk()?;
        Some(Self { day: u32::from_be_bytes(*day), digest: digest.try_into().ok()? })
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for DeadLetterId {
    type Err = DeadLetterIdError;

    fn from_str(text: &str) -> Result<Self, DeadLetterIdError> {
        let byte = |at: usize| {
            u8::from_str_radix(text.get(at..at + 2).ok_or(DeadLetterIdError)?, 16).map_err(|_| DeadLetterIdError)
        };
        if text.len() != 40 {
            return Err(DeadLetterIdError);
        }
        let bytes = (0..40).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?;
        Self::from_bytes(&bytes).ok_or(DeadLetterIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_opens_only_by_its_key() {
        let letter = DeadLetter {
            agency: "lab-7".into(),
            received_at: Time::from_secs(1_790_000_000),
            subject: SubjectId::from_bytes([7; 16]),
            document: "610102********0016".into(),
            document_type: DocumentType::CnResidentId,
            code: Some("99999-9".into()),
            reason: "/code/coding: expected another".into(),
            resource: b"{}".to_vec(),
        };
        let keys = SealKeys::new(&[[1; 32]], "dead letter");
        let sealed = letter.seal(&keys);
        assert!(DeadLetter::open(sealed.clone(), &keys) == Ok(letter));
        assert_eq!(DeadLetter::open(sealed, &SealKeys::new(&[[2; 32]], "dead letter")), Err(SealError::Unknown));
    }

    #[test]
    fn ids_are_ordered_by_day_and_written_in_hexadecimal_digits() {
        let id = |seconds: i64| DeadLetterId::new(Time::from_secs(seconds), [0xab; 16]);
        assert!(id(86_400) > id(86_399) && id(86_400).to_bytes() > id(0).to_bytes());
        let text = id(86_400).to_string();
        assert_eq!(text, format!("00000001{}", "ab".repeat(16)));
        assert_eq!(text.parse(), Ok(id(86_400)));
        for wrong in ["", "00", &text[1..], &"g".repeat(40), &"é".repeat(20)] {
            assert_eq!(wrong.parse::<DeadLetterId>(), Err(DeadLetterIdError));
        }
        assert_eq!(DeadLetterId::first_kept_day(Time::from_secs(31 * 86_400 + 5)), 1);
    }
}
