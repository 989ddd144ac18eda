//! Decides what a fold writes: a pure function of what it read.

use yima_schema::change::Change;
use yima_schema::derive::{DERIVE_VERSION, derive};
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::{Version, View};
use yima_store::{Denial, StoreError, VersionedView, ViewWrite};

use super::denials::Denying;

/// The writes of one fold.
pub(super) struct Plan {
    /// Views that already contain all of their events.
    pub unchanged: Vec<Change>,
    /// Views to set.
    pub changed: Vec<Changed>,
}

/// A view to set.
pub(super) struct Changed {
    /// The version that the compare-and-set expects.
    pub expected: Version,
    /// The change to publish once it is set.
    pub change: Change,
    /// The tokens that it makes out of date.
    pub denials: Vec<Denial>,
}

impl Changed {
    /// The write that sets it.
    pub(super) fn write(&self) -> ViewWrite {
        let Self { expected, change, denials } = self;
        ViewWrite {
            subject: change.subject,
            expected: *expected,
            next: change.version,
            view: change.view.clone(),
            denials: denials.clone(),
        }
    }
}

/// Derives each subject's view from its events and compares it with the stored one.
///
/// # Errors
/// `Rejected` if a view was derived by newer rules or a newer program, which this one does not know.
pub(super) fn plan(
    subjects: &[SubjectId],
    current: Vec<Option<VersionedView>>,
    events: &[Vec<StoredEvent>],
    rules: &Rules,
    epoch: u16,
    denying: Denying<'_>,
) -> Result<Plan, StoreError> {
    let mut plan = Plan { unchanged: Vec::new(), changed: Vec::new() };
    for ((subject, current), events) in subjects.iter().zip(current).zip(events) {
        let derived = derive(events, rules);
        // A view that cannot be decoded is replaced.
        let stored = current.as_ref().and_then(|current| View::decode(&current.view).ok());
        let newer = stored.as_ref().map(|stored| stored.rules_version).filter(|version| *version > rules.version);
        if let Some(newer) = newer {
            return Err(outdated(newer, rules.version));
        }
        let is_newer = current.as_ref().is_some_and(|current| View::is_newer(&current.view));
        if is_newer || stored.as_ref().is_some_and(|stored| stored.derive_version > DERIVE_VERSION) {
            return Err(StoreError::Rejected(
                "a newer program has derived views of this region: replace this program by it".into(),
            ));
        }
        let same = stored.as_ref().is_some_and(|stored| {
            stored.events == derived.events
                && stored.rules_version == derived.rules_version
                && stored.derive_version == derived.derive_version
        });
        match current {
            // A version below the epoch was derived before a restore, and a client may have seen a higher one.
            Some(VersionedView { version, view }) if same && version >= Version::floor(epoch) => {
                plan.unchanged.push(Change { subject: *subject, version, view, traced: None });
            }
            current => {
                let expected = current.map_or(Version::ABSENT, |v| v.version);
                let change =
                    Change { subject: *subject, version: expected.next(epoch), view: derived.encode(), traced: None };
                let denials = denying.denials(*subject, stored.as_ref(), &derived, events);
                plan.changed.push(Changed { expected, change, denials });
            }
        }
    }
    Ok(plan)
}

/// The error of a program whose rules are older than the region's.
pub(super) fn outdated(active: u32, ours: u32) -> StoreError {
    StoreError::Rejected(format!(
        "rules of version {active} are in force in this region and this program has version {ours}: \
         give it the newer document (rules.file)"
    ))
}
