//! Views: the precomputed answer about one subject, with a timeline that covers the future as far as it is known.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::event::{Colour, ContentHash, TestKind, TestOutcome};
use crate::subject::SubjectId;
use crate::time::Time;

/// A view's version in its region: raised by each compare-and-set, never compared between regions. 0 is "no view".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Version(pub u64);

impl Version {
    /// The version of a subject without a view.
    pub const ABSENT: Self = Self(0);

    /// The next version: above this one and not below the store's epoch, which is raised before any restore or rebuild.
    pub fn next(self, epoch: u16) -> Self {
        Self((self.0 + 1).max(Self::floor(epoch).0))
    }

    /// No view that is written in this epoch has a lower version.
    pub fn floor(epoch: u16) -> Self {
        Self(u64::from(epoch) << 48)
    }
}

/// Which events a view was made from, as a number and a digest that do not depend on their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EventSet {
    /// How many.
    pub count: u32,
    /// Sum of their content hashes modulo 2^128.
    pub digest: u128,
}

impl EventSet {
    /// The set with one more event, which must not be in it yet.
    pub fn with(self, hash: ContentHash) -> Self {
        Self { count: self.count + 1, digest: self.digest.wrapping_add(u128::from_be_bytes(hash.0)) }
    }
}

/// A stretch of time with one colour; it lasts until the next one begins.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its first moment.
    pub from: Time,
    /// The colour.
    pub colour: Colour,
    /// Why.
    pub reason: String,
    /// Who decided; `None` where nobody had to.
    pub agency: Option<String>,
}

/// A test as the view shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestShown {
    /// Which test.
    pub test: TestKind,
    /// Its result.
    pub result: TestOutcome,
    /// When the sample was taken.
    pub sampled_at: Time,
    /// Who tested.
    pub agency: String,
}

/// COVID-19 vaccination in short.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vaccination {
    /// Distinct doses.
    pub doses: u8,
    /// Whether the course is complete.
    pub complete: bool,
    /// When the newest dose was given.
    pub last_at: Option<Time>,
}

/// The answer about one subject, derived from all of their events.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct View {
    /// Whose it is, so that whoever reads it can see that it is what was asked for; `None` without any event.
    pub subject: Option<SubjectId>,
    /// The rules it was derived by.
    pub rules_version: u32,
    /// The events it was derived from.
    pub events: EventSet,
    /// Masked document number; `None` without any event.
    pub document: Option<String>,
    /// Masked name; `None` without an identity event.
    pub name: Option<String>,
    /// Newest results first.
    pub tests: Vec<TestShown>,
    /// Doses.
    pub vaccination: Vaccination,
    /// Colours by time, ascending, adjacent ones different.
    pub timeline: Vec<Segment>,
    /// Two contents raced under one agency, id and revision: someone has to look.
    pub conflict: bool,
}

/// A timeline's answer for one moment.
#[derive(Clone, Copy)]
pub struct ColourAt<'a> {
    /// The segment in force; `None` for a subject without events.
    pub segment: Option<&'a Segment>,
    /// Its position in the timeline.
    pub index: usize,
    /// When the colour (not only its reason) changes, as far as is known.
    pub until: Option<Time>,
    /// When the next segment begins.
    pub next_transition_at: Option<Time>,
}

impl ColourAt<'_> {
    /// The colour.
    pub fn colour(&self) -> Colour {
        self.segment.map_or(Colour::None, |s| s.colour)
    }

    /// Why.
    pub fn reason(&self) -> &str {
        self.segment.map_or("not_registered", |s| &s.reason)
    }
}

const FORMAT: u8 = 1;

impl View {
    /// The colour at a moment. Before the first segment the first one counts: nothing earlier is kept.
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

    /// The stored and published form.
    pub fn encode(&self) -> Bytes {
        codec::encode(FORMAT, self).into()
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// Bytes that are not a view of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode("view", FORMAT, bytes)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View(redacted)")
    }
}
