//! Views: the precomputed answer about one subject, with a timeline that includes the known future.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::ended_sessions::EndedSessions;
use crate::event::{Colour, ContentHash, DerivedReason, TestKind, TestOutcome};
use crate::guardianships::Guardianships;
use crate::phones::{Phone, Phones};
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
    /// Version of the program's part of deriving ([`crate::derive::DERIVE_VERSION`]); 0: before there was one.
    pub derive_version: u32,
    /// Of each kind the newest conclusive test, whether or not it is shown; none with `derive_version` 0.
    pub conclusive: Vec<ConclusiveTest>,
    /// The subject's sessions that were ended. Encoded behind the other fields, in a format of its own where there are
    /// any.
    #[serde(skip)]
    pub ended_sessions: EndedSessions,
    /// The subject's phones. Encoded behind the ended sessions, likewise.
    #[serde(skip)]
    pub phones: Phones,
    /// Who may show the subject's codes, and whose codes the subject may show. Encoded behind the phones, likewise.
    #[serde(skip)]
    pub guardianships: Guardianships,
}

/// A test as a checkpoint's policy looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConclusiveTest {
    /// The kind of test.
    pub test: TestKind,
    /// Negative or positive.
    pub result: TestOutcome,
    /// When the sample was taken.
    pub sampled_at: Time,
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

impl<'a> ColourAt<'a> {
    /// The colour in force.
    pub fn colour(&self) -> Colour {
        self.segment.map_or(Colour::None, |s| s.colour)
    }

    /// The reason for it.
    pub fn reason(&self) -> &'a str {
        self.segment.map_or(DerivedReason::NotRegistered.as_str(), |s| &s.reason)
    }
}

const FORMAT: u8 = 2;
/// The format without `derive_version` and `conclusive`, the last two fields.
const FORMAT_1: u8 = 1;
/// A view of format 2, then the ended sessions.
const WITH_ENDED_SESSIONS: u8 = 3;
/// The same, then the phones.
const WITH_PHONES: u8 = 4;
/// The same, then the guardianships.
const WITH_GUARDIANSHIPS: u8 = 5;
/// Formats of programs to come: any other first byte is damage.
const NEWER_FORMATS: Range<u8> = WITH_GUARDIANSHIPS + 1..32;

impl View {
    /// The newest conclusive test of a kind. Of a view of format 1 the newest one that it shows.
    pub fn newest_conclusive(&self, test: TestKind) -> Option<ConclusiveTest> {
        if self.derive_version == 0 {
            let mut shown = self.tests.iter().filter(|shown| shown.test == test && shown.result.is_conclusive());
            return shown.next().map(|shown| ConclusiveTest {
                test,
                result: shown.result,
                sampled_at: shown.sampled_at,
            });
        }
        self.conclusive.iter().find(|conclusive| conclusive.test == test).copied()
    }

    /// The phone with this id that may show the subject's codes at `now`: one of the subject, or of a guardian.
    pub fn phone(&self, id: u64, now: Time) -> Option<&Phone> {
        let in_force = self.guardianships.guardians.iter().filter(|guardian| guardian.is_in_force(now));
        self.phones.find(id).or_else(|| in_force.filter_map(|guardian| guardian.phone(id)).next())
    }

    /// All phones that have tokens of the subject.
    pub fn all_phones(&self) -> impl Iterator<Item = &Phone> {
        let of_guardians = self.guardianships.guardians.iter().flat_map(|guardian| &guardian.phones);
        self.phones.open.iter().chain(of_guardians)
    }

    /// Whether a newer program encoded these bytes, in a format that this one does not know.
    pub fn is_newer(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|format| NEWER_FORMATS.contains(format))
    }

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
        if !self.guardianships.is_empty() {
            let fields = (self, &self.ended_sessions, &self.phones, &self.guardianships);
            return codec::encode(WITH_GUARDIANSHIPS, &fields).into();
        }
        if !self.phones.is_empty() {
            return codec::encode(WITH_PHONES, &(self, &self.ended_sessions, &self.phones)).into();
        }
        if self.ended_sessions.is_empty() {
            return codec::encode(FORMAT, self).into();
        }
        codec::encode(WITH_ENDED_SESSIONS, &(self, &self.ended_sessions)).into()
    }

    /// The bytes that a program of view format 1 would have stored, for tests of what reads and replaces them.
    pub fn encode_format_1(&self) -> Vec<u8> {
        let encoded = Self { derive_version: 0, conclusive: Vec::new(), ..self.clone() }.encode();
        [&[FORMAT_1], &encoded[1..encoded.len() - 2]].concat()
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// The bytes are not a view of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            // Both fields that format 2 has more are a zero byte each if they are 0 and empty.
            Some((&FORMAT_1, fields)) => codec::decode("view", FORMAT, &[&[FORMAT], fields, &[0, 0]].concat())
                .map_err(|error| DecodeError { format: Some(FORMAT_1), ..error }),
            Some((&WITH_ENDED_SESSIONS, _)) => {
                let (view, ended_sessions): (Self, _) = codec::decode("view", WITH_ENDED_SESSIONS, bytes)?;
                Ok(Self { ended_sessions, ..view })
            }
            Some((&WITH_PHONES, _)) => {
                let (view, ended_sessions, phones): (Self, _, _) = codec::decode("view", WITH_PHONES, bytes)?;
                Ok(Self { ended_sessions, phones, ..view })
            }
            Some((&WITH_GUARDIANSHIPS, _)) => {
                let (view, ended_sessions, phones, guardianships): (Self, _, _, _) =
                    codec::decode("view", WITH_GUARDIANSHIPS, bytes)?;
                Ok(Self { ended_sessions, phones, guardianships, ..view })
            }
            Some(_) | None => codec::decode("view", FORMAT, bytes),
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_has_the_earliest_format_that_has_all_of_it() {
        let phone = Phone { started_at: Time::EPOCH, id: 7, name: "p".into() };
        let guardianships = Guardianships { wards: vec![SubjectId::from_bytes([2; 16])], ..Guardianships::default() };
        let plain = View { conflict: true, ..View::default() };
        let ended = EndedSessions { through: Some(Time::EPOCH), sessions: Vec::new() };
        let with_ended = View { ended_sessions: ended, ..plain.clone() };
        let with_phone = View { phones: Phones::new([phone], |_| false, 3), ..with_ended.clone() };
        let with_ward = View { guardianships, ..with_phone.clone() };
        for (view, format) in [(plain, 2), (with_ended, 3), (with_phone, 4), (with_ward, 5)] {
            let bytes = view.encode();
            assert_eq!(bytes[0], format);
            assert!(View::decode(&bytes).unwrap() == view);
            assert!(View::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn a_view_of_format_1_is_read_and_has_the_facts_that_it_shows() {
        let shown =
            |test, result, at| TestShown { test, result, sampled_at: Time::from_secs(at), agency: "lab7".into() };
        let before = View {
            document: Some("E******78".into()),
            tests: vec![
                shown(TestKind::NucleicAcid, TestOutcome::Inconclusive, 30),
                shown(TestKind::NucleicAcid, TestOutcome::Negative, 20),
                shown(TestKind::NucleicAcid, TestOutcome::Positive, 10),
            ],
            conflict: true,
            ..View::default()
        };
        let format_1 = before.encode_format_1();
        let read = View::decode(&format_1).unwrap();
        assert!(read == before);
        let newest = read.newest_conclusive(TestKind::NucleicAcid).unwrap();
        assert_eq!((newest.result, newest.sampled_at), (TestOutcome::Negative, Time::from_secs(20)));
        assert!(read.newest_conclusive(TestKind::Antigen).is_none());
        let derived = View { derive_version: 1, ..before };
        assert!(derived.newest_conclusive(TestKind::NucleicAcid).is_none(), "a derived view has facts of its own");
        assert_eq!(View::decode(&format_1[..format_1.len() - 1]).unwrap_err().format, Some(FORMAT_1));
        assert!(View::decode(&[&format_1[..], &[0]].concat()).is_err());
        assert_eq!(
            [0, 1, 5, 6, 31, 32, b'{'].map(|format| View::is_newer(&[format])),
            [false, false, false, true, true, false, false]
        );
    }
}
