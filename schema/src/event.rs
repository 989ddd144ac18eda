//! Events: immutable facts from agencies, the only thing that is not derived.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codec::{self, DecodeError};
use crate::limits::{MAX_AGENCY_CHARS, MAX_EVENT_ID_CHARS};
use crate::subject::{SubjectId, sha256_16};
use crate::time::Time;

/// The colour of a code, from least to most restrictive. `None` is a closed or unknown code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// No restriction.
    Green,
    /// Restricted.
    Yellow,
    /// Quarantined.
    Red,
    /// No code: not registered, or closed.
    None,
}

impl Colour {
    /// The name at the edge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::None => "none",
        }
    }
}

/// The kind of a test.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Nucleic-acid amplification (PCR).
    NucleicAcid,
    /// Antigen.
    Antigen,
}

/// The result of a test, in order of how much it restricts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// Not found.
    Negative,
    /// The sample could not be tested. Changes no colour.
    Invalid,
    /// Neither found nor excluded. Changes no colour.
    Inconclusive,
    /// Found.
    Positive,
}

/// What an event says.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventData {
    /// Who the subject is.
    Identity {
        /// Masked: the whole name is not kept.
        name: String,
        /// Date of birth, ISO 8601, perhaps only year or month.
        born: Option<String>,
        /// The moment of death: closes the code from then on.
        deceased_at: Option<Time>,
    },
    /// A test; `occurred_at` is when the sample was taken.
    TestResult {
        /// Which test.
        test: TestKind,
        /// Its result.
        result: TestOutcome,
    },
    /// A dose; `occurred_at` is when it was given.
    Vaccination {
        /// CVX code of the vaccine.
        vaccine: String,
        /// Number of the dose in its series, where known.
        dose: Option<u8>,
    },
    /// An agency's decision, in force from `occurred_at`.
    ColourAssignment {
        /// The colour decided.
        colour: Colour,
        /// Why, from the rules' closed list.
        reason: String,
        /// Until when; `None`: until retracted.
        until: Option<Time>,
    },
    /// Takes back an earlier event of the same agency and subject, all its revisions. A retraction cannot itself be retracted.
    Retraction {
        /// The event taken back.
        event_id: String,
        /// Why, in words.
        why: String,
    },
}

/// An immutable fact. Everything in it is hashed; `derive` reads nothing else.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whom it is about.
    pub subject: SubjectId,
    /// The agency that says it.
    pub agency: String,
    /// The agency's own id of it, unique within agency and subject.
    pub id: String,
    /// A higher revision of the same id corrects a lower one.
    pub revision: u64,
    /// The subject's document number, masked.
    pub document: String,
    /// When it happened, by the agency's word.
    pub occurred_at: Time,
    /// What it says.
    pub data: EventData,
}

/// First 16 bytes of SHA-256 over an event's encoded content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 16]);

/// An event with what its storage needs.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The fact.
    pub event: Event,
    /// Its hash, part of its key.
    pub hash: ContentHash,
    /// When it was received; not hashed, so sending it again is a duplicate.
    pub received_at: Time,
}

const FORMAT: u8 = 1;
/// Part of what is hashed: stays, whatever becomes of the stored format, or events sent again would be conflicts.
const HASHED_FORMAT: u8 = 1;

impl StoredEvent {
    /// Computes the hash.
    pub fn new(event: Event, received_at: Time) -> Self {
        let hash = ContentHash(sha256_16(&codec::encode(HASHED_FORMAT, &event)));
        Self { event, hash, received_at }
    }

    /// The value under which the event is stored.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(FORMAT, &(self.received_at, self.hash, &self.event))
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// Bytes that are not an event of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (received_at, hash, event) = codec::decode("event", FORMAT, bytes)?;
        Ok(Self { event, hash, received_at })
    }

    /// Orders and identifies events of one subject: agency, id, revision, hash.
    pub fn key(&self) -> (&str, &str, u64, ContentHash) {
        (&self.event.agency, &self.event.id, self.event.revision, self.hash)
    }
}

#[cfg(not(test))]
mod redacted {
    use std::fmt::{Debug, Formatter, Result};

    impl Debug for super::EventData {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            f.write_str(self.kind())
        }
    }

    impl Debug for super::Event {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "Event({:?})", self.data)
        }
    }

    impl Debug for super::StoredEvent {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            write!(f, "StoredEvent({:?})", self.event.data)
        }
    }
}

impl EventData {
    /// The name of its kind at the edge.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Identity { .. } => "identity",
            Self::TestResult { .. } => "test_result",
            Self::Vaccination { .. } => "vaccination",
            Self::ColourAssignment { .. } => "colour_assignment",
            Self::Retraction { .. } => "retraction",
        }
    }
}

/// An agency's name: 1 to 32 lower-case letters, digits and dashes, starting with a letter or digit.
pub fn is_agency_name(name: &str) -> bool {
    (1..=MAX_AGENCY_CHARS).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An agency's event id: 1 to 100 letters, digits and `. _ : / -`.
pub fn is_event_id(id: &str) -> bool {
    (1..=MAX_EVENT_ID_CHARS).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-'))
}
