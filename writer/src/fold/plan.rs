//! What a fold is to write: pure, by what was read.

use yima_schema::change::Change;
use yima_schema::derive::derive;
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::{Version, View};
use yima_store::{StoreError, VersionedView};

/// What folding some subjects comes to.
pub(super) struct Plan {
    /// Views that have all of their events already.
    pub unchanged: Vec<Change>,
    /// Views to set, each with the version that is expected to be there.
    pub changed: Vec<(Version, Change)>,
}

/// # Errors
/// `Rejected` if a view was made by newer rules: this program does not know what they say.
pub(super) fn plan(
    subjects: &[SubjectId],
    current: Vec<Option<VersionedView>>,
    events: &[Vec<StoredEvent>],
    rules: &Rules,
    epoch: u16,
) -> Result<Plan, StoreError> {
    let mut plan = Plan { unchanged: Vec::new(), changed: Vec::new() };
    for ((subject, current), events) in subjects.iter().zip(current).zip(events) {
        let derived = derive(events, rules);
        // One that cannot be read is replaced.
        let stored = current.as_ref().and_then(|current| View::decode(&current.view).ok());
        let newer = stored.as_ref().map(|stored| stored.rules_version).filter(|version| *version > rules.version);
        if let Some(newer) = newer {
            return Err(outdated(newer, rules.version));
        }
        let same = stored
            .is_some_and(|stored| stored.events == derived.events && stored.rules_version == derived.rules_version);
        match current {
            // Below the epoch it was made before a restore, and somebody may have seen a higher version.
            Some(VersionedView { version, view }) if same && version >= Version::floor(epoch) => {
                plan.unchanged.push(Change { subject: *subject, version, view, traced: None });
            }
            found => {
                let expected = found.map_or(Version::ABSENT, |v| v.version);
                let change =
                    Change { subject: *subject, version: expected.next(epoch), view: derived.encode(), traced: None };
                plan.changed.push((expected, change));
            }
        }
    }
    Ok(plan)
}

pub(super) fn outdated(active: u32, ours: u32) -> StoreError {
    StoreError::Rejected(format!(
        "rules of version {active} are in force in this region and this program has version {ours}: give it the newer document (rules.file)"
    ))
}
