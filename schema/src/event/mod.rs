//! Events: immutable facts from agencies. All other data is derived from them.

mod colour;
mod data;
mod test_result;

pub use colour::Colour;
pub use data::{EventData, EventKind};
pub use test_result::{TestKind, TestOutcome};

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::digest::sha256_16;
use crate::limits::MAX_EVENT_ID_CHARS;
use crate::subject::SubjectId;
use crate::time::Time;

/// An immutable fact. All of its fields are hashed; `derive` reads nothing else.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The subject of the event.
    pub subject: SubjectId,
    /// The agency that sent the event.
    pub agency: String,
    /// The agency's own id of the event, unique within agency and subject.
    pub id: String,
    /// A higher revision of the same id corrects a lower one.
    pub revision: u64,
    /// The subject's document number, masked.
    pub document: String,
    /// When the fact happened, as stated by the agency.
    pub occurred_at: Time,
    /// The data of the event, by its kind.
    pub data: EventData,
}

/// First 16 bytes of SHA-256 over an event's encoded content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 16]);

/// An event as it is stored.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The fact.
    pub event: Event,
    /// The hash of the event, part of its key.
    pub hash: ContentHash,
    /// When the event was first received; not hashed, so sending the event again is a duplicate.
    pub received_at: Time,
}

const FORMAT: u8 = 1;
/// Part of the hashed bytes. It stays 1 even if the stored format changes: otherwise events sent again would be
/// conflicts.
const HASHED_FORMAT: u8 = 1;

impl StoredEvent {
    /// Computes the hash.
    pub fn new(event: Event, received_at: Time) -> Self {
        let hash = ContentHash(sha256_16(&codec::encode(HASHED_FORMAT, &event)));
        Self { event, hash, received_at }
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(FORMAT, &(self.received_at, self.hash, &self.event))
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// The bytes are not an event of a known format.
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
            f.write_str(self.kind().as_str())
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

/// Whether `id` is an agency's event id: 1 to 100 letters, digits and `. _ : / -`.
pub fn is_event_id(id: &str) -> bool {
    (1..=MAX_EVENT_ID_CHARS).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-'))
}
