//! The body of a mark: the name of the event whose fold is still owed. Marks are the outbox: written before the event,
//! settled once its fold is published.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::event::{ContentHash, StoredEvent};
use crate::subject::SubjectId;

/// Names one event: its subject and its key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventName {
    /// The subject of the event.
    pub subject: SubjectId,
    /// The agency that sent the event.
    pub agency: String,
    /// The agency's own id of the event.
    pub id: String,
    /// The revision.
    pub revision: u64,
    /// The hash of its content.
    pub hash: ContentHash,
}

const FORMAT: u8 = 1;

impl EventName {
    /// Names `event`.
    pub fn of(event: &StoredEvent) -> Self {
        let (agency, id, revision, hash) = event.key();
        Self { subject: event.event.subject, agency: agency.into(), id: id.into(), revision, hash }
    }

    /// The body of the mark.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(FORMAT, self)
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// The bytes are not a mark of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("mark", FORMAT, bytes)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventName(redacted)")
    }
}
