//! Fills the index of FHIR resources once with what programs before it have stored, at the rate of a refold: a
//! correction of such a resource can then move it to another person. A correction that came before moves it when it is
//! sent again.
//!
//! Events do not say whether they were FHIR: of a laboratory's own events, those whose id has the form of a resource's
//! are noted too. That has no effect until the laboratory sends a resource of that id, and so nothing is moved here.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use yima_schema::event::{EventData, StoredEvent};
use yima_schema::time::Time;
use yima_store::{EventReader, Progress, ResourceIndex, ResourceVersion, StoreError, SubjectScan};

use super::full_scan::{FullScan, OtherRegions, Rate, Task};
use crate::backoff::with_backoff;
use crate::config::RefoldConfig;

/// The task in the table of progress.
const TASK: &str = "resource-index/1";
/// Time between attempts to begin or to continue.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Subjects whose events are in memory together, at most 1 MB each.
const CONCURRENT_READS: usize = 16;

/// The task that fills the index.
pub struct FillResourceIndex<S> {
    store: Arc<S>,
    config: RefoldConfig,
    clock: fn() -> Time,
}

impl<S: SubjectScan + EventReader + ResourceIndex + 'static> FillResourceIndex<S> {
    /// Fills the index of `store`.
    pub fn new(store: Arc<S>, config: RefoldConfig, clock: fn() -> Time) -> Self {
        Self { store, config, clock }
    }

    /// Scans all subjects and ends. Continues after an error.
    pub async fn run(self) {
        loop {
            match self.once().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "filling the index of resources was interrupted; it continues"),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Fills the index if no other process does; returns whether it is filled, by this process or another.
    ///
    /// # Errors
    /// The store's. Progress is saved.
    pub async fn once(&self) -> Result<bool, StoreError> {
        if self.store.progress(TASK).await?.is_some_and(|progress| progress.is_done()) {
            return Ok(true);
        }
        if !self.store.lease_task(TASK).await? {
            return Ok(false);
        }
        let task = Task {
            name: TASK.to_owned(),
            others: OtherRegions::None,
            rate: Some(Rate(self.config.subjects_per_s)),
            clock: self.clock,
        };
        let mut scan = FullScan::begin(self.store.clone(), task, false).await?;
        let result = self.fill(&mut scan).await;
        if result.is_err() {
            scan.release().await;
        }
        result.map(|()| true)
    }

    async fn fill(&self, scan: &mut FullScan) -> Result<(), StoreError> {
        while let Some(subjects) = scan.next().await? {
            let mut reads = stream::iter(subjects)
                .map(async |subject| {
                    let subject = [subject];
                    let events = with_backoff(|| self.store.events(&subject)).await?;
                    let resources = events.iter().flatten().filter(|event| is_resource(event));
                    Ok::<Vec<_>, StoreError>(resources.map(ResourceVersion::of).collect())
                })
                .buffer_unordered(CONCURRENT_READS);
            let mut versions: Vec<ResourceVersion> = Vec::new();
            while let Some(read) = reads.next().await {
                match read {
                    Ok(of_subject) => versions.extend(of_subject),
                    // The refold reports it.
                    Err(StoreError::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            scan.count("resources", versions.len());
            if !versions.is_empty() {
                with_backoff(|| self.store.note_resources(versions.clone())).await?;
            }
        }
        let resources = scan.progress().counts.get("resources").copied().unwrap_or(0);
        tracing::info!(resources, "the index of FHIR resources has what earlier programs stored");
        Ok(())
    }
}

/// Saves that there is nothing to fill: an import has just stored all events, and none is a resource.
///
/// # Errors
/// The store's.
pub async fn save_complete(store: &dyn SubjectScan, now: Time) -> Result<(), StoreError> {
    let done = Progress { upto: i64::MAX, ..Progress::begin(now) };
    with_backoff(|| store.save_progress(TASK, &done)).await
}

/// Whether an event may be a version of a resource with a result or a dose.
fn is_resource(stored: &StoredEvent) -> bool {
    let names = |prefix: &str| stored.event.id.starts_with(prefix);
    let is_fact = match &stored.event.data {
        EventData::TestResult { .. } | EventData::Vaccination { .. } => true,
        // A notice of a move is no version: the index has the subject that it is written to.
        EventData::Retraction { event_id, .. } => {
            *event_id == stored.event.id && !stored.event.data.is_notice_of_a_move()
        }
        EventData::Identity { .. }
        | EventData::ColourAssignment { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => false,
    };
    is_fact && (names("Observation/") || names("Immunization/"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use yima_schema::event::{Colour, Event, Rank, TestKind, TestOutcome};
    use yima_schema::rules::Rules;
    use yima_schema::subject::SubjectId;
    use yima_schema::view::View;
    use yima_store::ViewReader;
    use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

    use super::*;
    use crate::fold::Folder;
    use crate::moves::Moves;

    fn now() -> Time {
        Time::from_secs(1_790_000_000)
    }

    fn positive(subject: u8, id: &str, revision: u64) -> StoredEvent {
        let event = Event {
            subject: SubjectId::from_bytes([subject; 16]),
            agency: "lab-7".into(),
            id: id.into(),
            revision,
            document: format!("document {subject}"),
            occurred_at: now(),
            data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive },
        };
        StoredEvent::new(event, now())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_resource_stored_before_there_was_an_index_is_found_once_it_is_filled() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::new("test", [0; 16])).unwrap();
        let folder = Arc::new(
            Folder::start(store.clone(), Arc::new(Rules::built_in()), crate::fold::tests::token_keys()).await.unwrap(),
        );
        // As an earlier program committed them.
        folder.commit(vec![positive(1, "Observation/1", 1), positive(2, "t-1", 1)]).await.unwrap();
        let colour = async |subject| {
            let found = store.lookup(SubjectId::from_bytes([subject; 16])).await.unwrap().unwrap();
            View::decode(&found.view).unwrap().colour_at(now()).colour()
        };
        let moved = positive(2, "Observation/1", 2);
        folder.commit(vec![moved.clone()]).await.unwrap();
        let settle = async || {
            let moves = Moves::new(store.clone());
            moves.settle(&folder, vec![ResourceVersion::of(&moved)], now()).await.unwrap();
            (colour(1).await, colour(2).await)
        };
        assert_eq!(settle().await, (Colour::Red, Colour::Red), "nothing is known of the earlier version");

        let config = RefoldConfig { subjects_per_s: NonZeroU32::new(1_000_000).unwrap() };
        let job = FillResourceIndex::new(store.clone(), config, now);
        assert!(job.once().await.unwrap());
        let versions = async |id| store.resource_versions("lab-7", id).await.unwrap().len();
        assert_eq!((versions("Observation/1").await, versions("t-1").await), (2, 0));
        assert_eq!(settle().await, (Colour::Green, Colour::Red), "sent again, the correction moves the result");
        folder.commit(vec![positive(3, "Observation/3", 1)]).await.unwrap();
        assert!(job.once().await.unwrap() && versions("Observation/3").await == 0, "it runs once");
        let retraction = |id: &str| {
            let data = EventData::Retraction { event_id: id.into(), why: "entered in error".into() };
            StoredEvent::ranked(Event { data, ..moved.event.clone() }, Rank::EnteredInError, now())
        };
        assert!(is_resource(&retraction("Observation/1")) && !is_resource(&retraction("Observation/2")));
    }
}
