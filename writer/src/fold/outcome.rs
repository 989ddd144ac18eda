//! Outcomes of a commit.

use yima_schema::view::Version;

/// The outcome of a commit for one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitOutcome {
    /// Durable, folded and published for the first time; the subject's view of this version has it.
    Accepted(Version),
    /// The same event had been accepted before; it is folded and published.
    Duplicate,
    /// An event with this id and revision but different content exists.
    Conflict,
    /// The subject has the largest number of events that a subject can have.
    Full,
    /// Not appended, because another event of the same transaction cannot be taken.
    NotTried,
    /// Appended, but the subject's data cannot be read: no view shows the event.
    Unreadable,
}

impl CommitOutcome {
    /// Whether the event was taken for the first time.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Accepted(_) => true,
            Self::Duplicate | Self::Conflict | Self::Full | Self::NotTried | Self::Unreadable => false,
        }
    }
}
