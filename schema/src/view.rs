//! Views: the precomputed answer about one subject, with a timeline that includes the known future.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::event::{Colour, ContentHash, TestKind, TestOutcome};
use crate::subject::SubjectId;
use crate::time::Time;

/// A view's version in its region: raised by each compare-and-set, never compared between regions. 0 means "no view".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Version(pub u64);

impl Version {
    /// The version of a subject without a view.
    pub const ABSENT: Self = Self(0);

    /// The next version: greater than this one and at least the floor of the store's epoch, which is raised before any
    /// restore or rebuild.
    pub fn next(self, epoch: u16) -> Self {
        Self((self.0 + 1).max(Self::floor(epoch).0))
    }

    /// The lowest version that can be written in this epoch.
    pub fn floor(epoch: u16) -> Self {
        Self(u64::from(epoch) << 48)
    }
}

/// The set of events a view was derived from: a count and a digest, both independent of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EventSet {
    /// Number of events.
    pub count: u32,
    /// Sum of the content hashes modulo 2^128.
    pub digest: u128,
}

impl EventSet {
    /// The set with one more event, which must not be in the set yet.
    pub fn with(self, hash: ContentHash) -> Self {
        Self { count: self.count + 1, digest: self.digest.wrapping_add(u128::from_be_bytes(hash.0)) }
    }
}

/// A span of time with one colour; it lasts until the next segment begins.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The first moment.
    pub from: Time,
    /// The colour.
    pub colour: Colour,
    /// The reason.
    pub reason: String,
    /// The agency that decided; `None` if no decision was needed.
    pub agency: Option<String>,
}

/// A test as the view shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestShown {
    /// The kind of test.
    pub test: TestKind,
    /// The result.
    pub result: TestOutcome,
    /// When the sample was taken.
    pub sampled_at: Time,
    /// The agency that tested.
    pub agency: String,
}

/// Summary of COVID-19 vaccinations.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vaccination {
    /// Number of distinct doses.
    pub doses: u8,
    /// Whether the course is complete.
    pub complete: bool,
    /// When the newest dose was given.
    pub last_at: Option<Time>,
}

/// The answer about one subject, derived from all of its events.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct View {
    /// The subject, so that a reader can check that it got the requested view; `None` without any event.
    pub subject: Option<SubjectId>,
    /// Version of the rules it was derived by.
    pub rules_version: u32,
    /// The events it was derived from.
    pub events: EventSet,
    /// Masked document number; `None` without any event.
    pub document: Option<String>,
    /// Masked name; `None` without an identity event.
    pub name: Option<String>,
    /// Test results, newest first.
    pub tests: Vec<TestShown>,
    /// Vaccination.
    pub vaccination: Vaccination,
    /// Segments, ascending by time; neighbours differ.
    pub timeline: Vec<Segment>,
    /// Two different contents exist under one agency, id and revision: a human has to resolve that.
    pub conflict: bool,
}

/// The timeline's answer for one moment.
#[derive(Clone, Copy)]
pub struct ColourAt<'a> {
    /// The segment in force; `None` for a subject without events.
    pub segment: Option<&'a Segment>,
    /// Its position in the timeline.
    pub index: usize,
    /// When the colour (not only its reason) changes, as far as known.
    pub until: Option<Time>,
    /// When the next segment begins.
    pub next_transition_at: Option<Time>,
}

impl ColourAt<'_> {
    /// The colour in force.
    pub fn colour(&self) -> Colour {
        self.segment.map_or(Colour::None, |s| s.colour)
    }

    /// The reason for it.
    pub fn reason(&self) -> &str {
        self.segment.map_or("not_registered", |s| &s.reason)
    }
}

const FORMAT: u8 = 1;

impl View {
    /// The colour at `now`. Before the first segment the first one counts: nothing earlier is kept.
    pub fn colour_at(&self, now: Time) -> ColourAt<'_> {
        let index = self.timeline.partition_point(|s| s.from <= now).saturating_sub(1);
        let segment = self.timeline.get(index);
        let later = self.timeline.get(index + 1..).unwrap_or_default();
        ColourAt {
            segment,
            index,
            until: later.iter().find(|s| Some(s.colour) != segment.map(|s| s.colour)).map(|s| s.from),
            next_transition_at: later.first().map(|s| s.from),
        }
    }

    /// The stored and published bytes.
    pub fn encode(&self) -> Bytes {
        codec::encode(FORMAT, self).into()
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// The bytes are not a view of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("view", FORMAT, bytes)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View(redacted)")
    }
}
