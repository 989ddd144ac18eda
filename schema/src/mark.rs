//! Marks: durable notes that a subject has an event, written before the event itself, by which whoever has to fold it learns of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::event::{ContentHash, StoredEvent};
use crate::subject::SubjectId;

/// Names one event: whose, and its key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventName {
    /// Whom the event is about.
    pub subject: SubjectId,
    /// The agency that says it.
    pub agency: String,
    /// The agency's own id of it.
    pub id: String,
    /// Its revision.
    pub revision: u64,
    /// Its content.
    pub hash: ContentHash,
}

const FORMAT: u8 = 1;

impl EventName {
    /// The name of an event.
    pub fn of(event: &StoredEvent) -> Self {
        let (agency, id, revision, hash) = event.key();
        Self { subject: event.event.subject, agency: agency.into(), id: id.into(), revision, hash }
    }

    /// The body of its mark.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(FORMAT, self)
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// Bytes that are not a mark of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("mark", FORMAT, bytes)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventName(redacted)")
    }
}
