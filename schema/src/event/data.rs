//! The kinds of events and the data of each.

use serde::{Deserialize, Serialize};

use super::birth_date::not_kept;
use super::{Colour, TestKind, TestOutcome};
use crate::ended_sessions::EndedSessions;
use crate::named::named_enum;
use crate::subject::{Document, SubjectId};
use crate::time::Time;

named_enum! {
    /// The kind of an event, as its `kind` field names it.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum EventKind {
        /// [`EventData::Identity`].
        Identity => "identity",
        /// [`EventData::TestResult`].
        TestResult => "test_result",
        /// [`EventData::Vaccination`].
        Vaccination => "vaccination",
        /// [`EventData::ColourAssignment`].
        ColourAssignment => "colour_assignment",
        /// [`EventData::Retraction`].
        Retraction => "retraction",
        /// [`EventData::SessionEnd`].
        SessionEnd => "session_end",
        /// [`EventData::Phone`].
        Phone => "phone",
        /// [`EventData::Guardianship`].
        Guardianship => "guardianship",
        /// [`EventData::Ward`].
        Ward => "ward",
    }
}

impl EventKind {
    /// The kinds that agencies may send. The others are written by this service for a citizen.
    pub const OF_AGENCIES: [Self; 6] = [
        Self::Identity,
        Self::TestResult,
        Self::Vaccination,
        Self::ColourAssignment,
        Self::Retraction,
        Self::Guardianship,
    ];
}

/// The data of an event, by its kind. The order of variants and fields is stored and hashed: append variants only,
/// change none.
#[cfg_attr(test, derive(Debug))] // for counterexamples; redacted outside tests
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventData {
    /// The subject's identity.
    Identity {
        /// Masked: the full name is not kept.
        name: String,
        /// Date of birth as sent, ISO 8601, possibly only the year or month. Never stored: [`super::StoredEvent`] drops
        /// it.
        #[serde(serialize_with = "not_kept")]
        born: Option<String>,
        /// The moment of death: closes the code from then on.
        deceased_at: Option<Time>,
    },
    /// A test; `occurred_at` is when the sample was taken.
    TestResult {
        /// The kind of test.
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
        /// The assigned colour.
        colour: Colour,
        /// The reason, from the rules' closed list.
        reason: String,
        /// The end of the assignment; `None`: until retracted.
        until: Option<Time>,
    },
    /// Takes back an earlier event of the same agency and subject, in all its revisions. A retraction cannot itself be
    /// retracted.
    Retraction {
        /// The id of the retracted event.
        event_id: String,
        /// The reason, in words.
        why: String,
    },
    /// The end of sessions of the subject, at `occurred_at`. Its sender is [`crate::agency::CITIZEN`]; it says nothing
    /// about health.
    SessionEnd {
        /// The sessions that were ended.
        sessions: EndedSessions,
    },
    /// A phone of the subject was registered, or ended, at `occurred_at`. Its sender is [`crate::agency::CITIZEN`]; it
    /// says nothing about health.
    Phone {
        /// Random.
        id: u64,
        /// What happened.
        change: PhoneChange,
    },
    /// Another subject may show the subject's codes from `occurred_at` on, or not any more. An agency only states that
    /// it may, and takes that back by a retraction; with the sender [`crate::agency::CITIZEN`] the two have agreed, or
    /// one of them has ended it. It says nothing about health.
    Guardianship {
        /// Who may show them.
        guardian: SubjectId,
        /// What happened.
        change: GuardianshipChange,
    },
    /// The notice of a guardianship for its guardian, whose view so lists the wards. It decides nothing. Its sender is
    /// [`crate::agency::CITIZEN`].
    Ward {
        /// Whose codes the subject may show, by that one's own view.
        ward: SubjectId,
        /// Whether it is over.
        is_over: bool,
    },
}

/// What happened to a guardianship. The order of variants and fields is stored and hashed: append variants only, change
/// none.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardianshipChange {
    /// It is in force.
    Started {
        /// Until then; `None`: until it is ended or taken back.
        until: Option<Time>,
    },
    /// It was ended, whoever had stated it until then.
    Ended,
}

/// What happened to a phone. The order of variants and fields is stored and hashed: append variants only, change none.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhoneChange {
    /// It was registered.
    Started {
        /// As its holder calls it.
        name: String,
    },
    /// It was ended, for good.
    Ended,
    /// It was registered by a guardian, to show the subject's codes.
    StartedByGuardian {
        /// The guardian.
        guardian: SubjectId,
        /// As its holder calls it.
        name: String,
    },
}

/// How the reason of a notice begins: the retraction of a result of which a later version names another subject.
pub const MOVED: &str = "a version of this resource names another patient";

impl EventData {
    /// Whether it is a notice that a result has moved to another subject.
    pub fn is_notice_of_a_move(&self) -> bool {
        matches!(self, Self::Retraction { why, .. } if why.starts_with(MOVED))
    }

    /// The kind of this data.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Identity { .. } => EventKind::Identity,
            Self::TestResult { .. } => EventKind::TestResult,
            Self::Vaccination { .. } => EventKind::Vaccination,
            Self::ColourAssignment { .. } => EventKind::ColourAssignment,
            Self::Retraction { .. } => EventKind::Retraction,
            Self::SessionEnd { .. } => EventKind::SessionEnd,
            Self::Phone { .. } => EventKind::Phone,
            Self::Guardianship { .. } => EventKind::Guardianship,
            Self::Ward { .. } => EventKind::Ward,
        }
    }

    /// Whether it is about the subject's health, as everything is that agencies send but guardianships.
    pub fn is_about_health(&self) -> bool {
        match self {
            Self::SessionEnd { .. } | Self::Phone { .. } | Self::Guardianship { .. } | Self::Ward { .. } => false,
            Self::Identity { .. }
            | Self::TestResult { .. }
            | Self::Vaccination { .. }
            | Self::ColourAssignment { .. }
            | Self::Retraction { .. } => true,
        }
    }

    /// The same; of an identity without a date of birth with that of its document, so that it is not kept either.
    pub fn born(mut self, document: &Document) -> Self {
        if let Self::Identity { born, .. } = &mut self {
            *born = born.take().or_else(|| document.born().map(|date| date.to_string()));
        }
        self
    }

    /// Whether a subject with many events still takes it: it restricts, takes an event of its own agency back, or ends
    /// a session, a phone or a guardianship.
    pub fn may_use_reserve(&self) -> bool {
        match self {
            Self::TestResult { result, .. } => *result == TestOutcome::Positive,
            Self::ColourAssignment { colour, .. } => *colour != Colour::Green,
            Self::Identity { deceased_at, .. } => deceased_at.is_some(),
            Self::Retraction { .. } | Self::SessionEnd { .. } => true,
            Self::Phone { change, .. } => *change == PhoneChange::Ended,
            Self::Guardianship { change, .. } => *change == GuardianshipChange::Ended,
            Self::Ward { is_over, .. } => *is_over,
            Self::Vaccination { .. } => false,
        }
    }
}
