//! Events: immutable facts from agencies. All other data is derived from them.

mod birth_date;
mod colour;
mod data;
mod room;
mod same_fact;
mod test_result;

pub use colour::{Colour, DerivedReason};
pub use data::{EventData, EventKind, GuardianshipChange, MOVED, PhoneChange};
pub use room::EventCounts;
pub use test_result::{TestKind, TestOutcome};

use serde::{Deserialize, Serialize};

use crate::agency::CITIZEN;
use crate::codec::{self, DecodeError};
use crate::digest::sha256_16;
use crate::limits::MAX_EVENT_ID_CHARS;
use crate::subject::SubjectId;
use crate::time::Time;

/// An immutable fact. All of its fields but a date of birth are hashed; `derive` reads nothing else.
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

/// Orders the versions of an event that have one revision: a higher one corrects a lower one. The order of definition
/// is stored: append only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Rank {
    /// As first stated.
    #[default]
    Original,
    /// Stated as a correction.
    Corrected,
    /// Stated to be an error.
    EnteredInError,
}

impl Rank {
    /// Reads the number of a variant.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Original, Self::Corrected, Self::EnteredInError].into_iter().find(|rank| *rank as u8 == number)
    }
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
    /// Its rank among those of its revision.
    pub rank: Rank,
}

/// Of an original, and of all events before there were ranks.
const FORMAT: u8 = 1;
/// Of an event with a rank.
const RANKED_FORMAT: u8 = 2;
/// A revision has at most 53 bits: above them an event's key has the rank, and whether it is a notice of a move.
const RANK_SHIFT: u32 = 56;
const NOTICE_SHIFT: u32 = 60;
/// Part of the hashed bytes. It stays 1 even if the stored format changes: otherwise events sent again would be
/// conflicts.
const HASHED_FORMAT: u8 = 1;

impl Event {
    /// Whether an agency has stated it, as everything about health: then that agency corrects it and takes it back.
    pub fn is_of_an_agency(&self) -> bool {
        self.agency != CITIZEN && EventKind::OF_AGENCIES.contains(&self.data.kind())
    }

    /// The notice for the guardian of a guardianship that an agency has stated: one for each content.
    pub fn notice_for_guardian(&self, hash: ContentHash) -> Option<Self> {
        let EventData::Guardianship { guardian, .. } = self.data else { return None };
        let ward = self.subject;
        Some(Self {
            subject: guardian,
            agency: CITIZEN.into(),
            id: format!("ward/{:032x}", u128::from_be_bytes(hash.0)),
            revision: 0,
            document: String::new(),
            occurred_at: self.occurred_at,
            data: EventData::Ward { ward, is_over: false },
        })
    }
}

impl StoredEvent {
    /// An original; forgets a date of birth and computes the hash.
    pub fn new(event: Event, received_at: Time) -> Self {
        Self::ranked(event, Rank::Original, received_at)
    }

    /// An event of that rank; forgets a date of birth and computes the hash, in which an original has no rank.
    pub fn ranked(mut event: Event, rank: Rank, received_at: Time) -> Self {
        event.forget_birth_date();
        Self { hash: content_hash(&event, rank), event, received_at, rank }
    }

    /// Whether the row was written by a program that kept the date of birth, and hashed it: then
    /// [`Self::without_birth_date`] has to replace it.
    pub fn kept_birth_date(&self) -> bool {
        matches!(self.event.data, EventData::Identity { .. }) && self.hash != content_hash(&self.event, self.rank)
    }

    /// The same event, under the hash that it has today.
    pub fn without_birth_date(&self) -> Self {
        Self::ranked(self.event.clone(), self.rank, self.received_at)
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { event, hash, received_at, rank } = self;
        match rank {
            Rank::Original => codec::encode(FORMAT, &(received_at, hash, event)),
            Rank::Corrected | Rank::EnteredInError => codec::encode(RANKED_FORMAT, &(received_at, hash, event, rank)),
        }
    }

    /// Reads [`Self::encode`]; forgets a date of birth.
    ///
    /// # Errors
    /// The bytes are not an event of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (received_at, hash, mut event, rank): (_, _, Event, _) = if bytes.first() == Some(&RANKED_FORMAT) {
            codec::decode("event", RANKED_FORMAT, bytes)?
        } else {
            let (received_at, hash, event) = codec::decode("event", FORMAT, bytes)?;
            (received_at, hash, event, Rank::Original)
        };
        event.forget_birth_date();
        Ok(Self { event, hash, received_at, rank })
    }

    /// Identifies events of one subject: agency, id, revision with the rank, hash. Of two contents of one revision and
    /// rank a store takes the first only. [`Self::version`] orders them. A notice of a move may stand beside the
    /// version that it is about.
    pub fn key(&self) -> (&str, &str, u64, ContentHash) {
        let notice = u64::from(self.event.data.is_notice_of_a_move()) << NOTICE_SHIFT;
        let revision = self.event.revision | (self.rank as u64) << RANK_SHIFT | notice;
        (&self.event.agency, &self.event.id, revision, self.hash)
    }

    /// Of the events with one agency and id the highest counts.
    pub fn version(&self) -> (u64, Rank) {
        (self.event.revision, self.rank)
    }
}

fn content_hash(event: &Event, rank: Rank) -> ContentHash {
    let hashed = match rank {
        Rank::Original => codec::encode(HASHED_FORMAT, event),
        Rank::Corrected | Rank::EnteredInError => codec::encode(HASHED_FORMAT, &(event, rank)),
    };
    ContentHash(sha256_16(&hashed))
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
