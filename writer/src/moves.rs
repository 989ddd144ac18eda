//! Results that move to another patient: a later version of a FHIR resource that names another subject takes the
//! earlier one back there. The two subjects have no event in common, so an index tells which subjects a resource has
//! named.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::event::{Event, EventData, EventKind, MOVED, Rank, StoredEvent};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{ResourceIndex, ResourceVersion, Result};

use crate::admission::Candidate;
use crate::fold::{CommitOutcome, Folder};

/// Resources that are read at once.
const CONCURRENT_READS: usize = 32;

/// Takes back results that moved.
pub(crate) struct Moves {
    index: Arc<dyn ResourceIndex>,
}

impl Moves {
    pub(crate) fn new(index: Arc<dyn ResourceIndex>) -> Self {
        Self { index }
    }

    /// The version that a row is, if it is a FHIR resource with a result or a dose.
    pub(crate) fn resource(candidate: &Candidate) -> Option<ResourceVersion> {
        // A Patient is the person itself.
        let is_identity = candidate.event.event.data.kind() == EventKind::Identity;
        (candidate.form.is_resource() && !is_identity).then(|| ResourceVersion::of(&candidate.event))
    }

    /// The versions of a resource of that agency that are stored.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn versions(&self, agency: &str, id: &str) -> Result<Vec<(u64, Rank)>> {
        let versions = self.index.resource_versions(agency, id).await?;
        Ok(versions.into_iter().map(|version| version.version).collect())
    }

    /// Notes versions that are stored, and takes their resources back from the subjects that the newest version does
    /// not name. To be called before they are acknowledged: after a crash between the two the sender sends them again.
    ///
    /// # Errors
    /// The store's; sending the resources again finishes the work.
    pub(crate) async fn settle(&self, folder: &Folder, versions: Vec<ResourceVersion>, now: Time) -> Result<()> {
        let ids: BTreeSet<(String, String)> =
            versions.iter().map(|version| (version.agency.clone(), version.id.clone())).collect();
        self.index.note_resources(versions).await?;
        let reads: Vec<_> = ids.iter().map(|(agency, id)| self.index.resource_versions(agency, id)).collect();
        let resources: Vec<_> = stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
        let events: Vec<_> = resources.iter().flat_map(|versions| notices(versions, now)).collect();
        if events.is_empty() {
            return Ok(());
        }
        let outcomes = folder.commit(events).await?;
        for outcome in outcomes {
            match outcome {
                // A conflict: the subject has a notice of that version.
                CommitOutcome::Accepted(_) | CommitOutcome::Duplicate | CommitOutcome::Conflict => {}
                CommitOutcome::Full | CommitOutcome::NotTried | CommitOutcome::Unreadable => {
                    tracing::error!(?outcome, "a result that moved could not be taken back from its first subject");
                }
            }
        }
        Ok(())
    }
}

/// The events that the subjects of a resource need besides its versions: a retraction for each that the newest version
/// does not name. If two name the newest version, nobody can tell whose the result is: it stays with both, and a
/// retraction beside it, which restricts less, sets the conflict flag of both.
fn notices(versions: &[ResourceVersion], now: Time) -> Vec<StoredEvent> {
    let subjects: BTreeSet<SubjectId> = versions.iter().map(|version| version.subject).collect();
    let Some(newest) = versions.iter().map(|version| version.version).max().filter(|_| subjects.len() > 1) else {
        return Vec::new();
    };
    let owners: BTreeSet<SubjectId> =
        versions.iter().filter(|version| version.version == newest).map(|version| version.subject).collect();
    let to_tell = subjects.into_iter().filter(|subject| owners.len() > 1 || !owners.contains(subject));
    to_tell
        .filter_map(|subject| {
            let named = versions.iter().find(|version| version.subject == subject)?;
            Some(StoredEvent::ranked(notice(named, newest, &owners), newest.1, now))
        })
        .collect()
}

/// The same from every writer that sees the same owners. Two regions that see different ones write two contents of one
/// revision: a conflict, which the first subject's view shows.
fn notice(named: &ResourceVersion, newest: (u64, Rank), owners: &BTreeSet<SubjectId>) -> Event {
    let owners = owners.iter().fold(0, |sum, owner| sum ^ (owner.fingerprint() as u16));
    Event {
        subject: named.subject,
        agency: named.agency.clone(),
        id: named.id.clone(),
        revision: newest.0,
        document: named.document.clone(),
        // A retraction's time means nothing.
        occurred_at: Time::default(),
        data: EventData::Retraction { event_id: named.id.clone(), why: format!("{MOVED} ({owners:04x})") },
    }
}

#[cfg(test)]
mod tests {
    use yima_schema::derive::derive;
    use yima_schema::event::{Colour, TestKind, TestOutcome};
    use yima_schema::rules::Rules;

    use super::*;

    fn sampled_at() -> Time {
        Time::from_secs(1_790_000_000)
    }

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    /// A positive result of a subject.
    fn positive(n: u8, revision: u64, rank: Rank) -> StoredEvent {
        let event = Event {
            subject: subject(n),
            agency: "lab-7".into(),
            id: "Observation/o1".into(),
            revision,
            document: format!("document {n}"),
            occurred_at: sampled_at(),
            data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive },
        };
        StoredEvent::ranked(event, rank, Time::default())
    }

    /// Colour and conflict of each subject once all events and their notices are stored.
    fn views(events: &[StoredEvent]) -> Vec<(Colour, bool)> {
        let versions: Vec<_> = events.iter().map(ResourceVersion::of).collect();
        let mut stored = [events, &notices(&versions, Time::default())].concat();
        // A notice of an earlier step may be there too.
        stored.extend(notices(&versions[..versions.len() - 1], Time::default()));
        let subjects: BTreeSet<SubjectId> = events.iter().map(|event| event.event.subject).collect();
        let of = |subject: SubjectId| {
            let own: Vec<_> = stored.iter().filter(|event| event.event.subject == subject).cloned().collect();
            let view = derive(&own, &Rules::built_in());
            (view.colour_at(sampled_at()).colour(), view.conflict)
        };
        subjects.into_iter().map(of).collect()
    }

    #[test]
    fn a_result_belongs_to_the_subject_of_its_newest_version_in_any_order() {
        let (first, moved) = (positive(1, 1, Rank::Original), positive(2, 2, Rank::Original));
        let expected = [(Colour::Green, false), (Colour::Red, false)];
        assert_eq!(views(&[first.clone(), moved.clone()]), expected);
        assert_eq!(views(&[moved.clone(), first.clone()]), expected);
        assert_eq!(
            views(&[first.clone(), moved, positive(1, 3, Rank::Original)]),
            [(Colour::Red, false), (Colour::Green, false)]
        );
        assert_eq!(views(&[first.clone(), positive(2, 1, Rank::Corrected)]), expected, "a rank is enough");
        assert_eq!(
            views(&[first.clone(), positive(2, 1, Rank::Corrected), positive(1, 1, Rank::EnteredInError)])[0].0,
            Colour::Red
        );
        assert_eq!(views(&[first.clone(), positive(1, 2, Rank::Original)]), [(Colour::Red, false)]);
    }

    #[test]
    fn a_result_that_two_subjects_share_stays_with_both_and_is_a_conflict() {
        let shared = [positive(1, 1, Rank::Original), positive(2, 1, Rank::Original)];
        assert_eq!(views(&shared), [(Colour::Red, true); 2]);
        // Two regions, each of which knew one of the two: the first subject has two notices of one revision.
        let first = positive(3, 0, Rank::Original);
        let of_region = |other: &StoredEvent| notices(&[&first, other].map(ResourceVersion::of), Time::default());
        let mut stored = vec![first.clone()];
        stored.extend(shared.iter().flat_map(of_region));
        assert_eq!(stored.len(), 3);
        let view = derive(&stored, &Rules::built_in());
        assert!(view.conflict && view.colour_at(sampled_at()).colour() == Colour::Green);
    }
}
