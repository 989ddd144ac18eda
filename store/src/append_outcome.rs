//! What is to become of an event, by what its subject has.

use crate::Appended;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    New,
    Duplicate,
    Conflict,
    Full,
}

/// What becomes of events of which all or none are taken, if one of them cannot be.
pub(crate) fn none_taken(decided: &[Decided]) -> Option<Vec<Appended>> {
    let outcome = |decided: &Decided| match decided {
        Decided::New | Decided::Duplicate => Appended::NotTried,
        Decided::Conflict => Appended::Conflict,
        Decided::Full => Appended::Full,
    };
    let outcomes: Vec<_> = decided.iter().map(outcome).collect();
    outcomes.iter().any(|outcome| *outcome != Appended::NotTried).then_some(outcomes)
}
