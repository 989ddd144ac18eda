//! The decision about an event to append, and the outcomes of a transaction that is refused.

use crate::Appended;

/// The decision about one event, by its subject's stored events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    New,
    Duplicate,
    /// A duplicate that the subject's view contains.
    Folded,
    /// A duplicate that is published.
    Settled,
    Conflict,
    Full,
}

/// The outcomes of a transaction, of which all events are taken or none, if one of them cannot be.
pub(crate) fn none_taken(decisions: &[Decision]) -> Option<Vec<Appended>> {
    let outcome = |decision: &Decision| match decision {
        Decision::New | Decision::Duplicate | Decision::Folded | Decision::Settled => Appended::NotTried,
        Decision::Conflict => Appended::Conflict,
        Decision::Full => Appended::Full,
    };
    let outcomes: Vec<_> = decisions.iter().map(outcome).collect();
    outcomes.iter().any(|outcome| *outcome != Appended::NotTried).then_some(outcomes)
}
