//! Stores that hold many subjects, for tests of the jobs that scan all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yima_harness::now;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{EventSet, Version, View};
use yima_store::cql::{CqlOptions, CqlStore};
use yima_store::{StoreError, ViewReader};
use yima_writer::fold::Folder;

/// Number of subjects that takes more than two pages of a scan.
pub const SUBJECTS: u32 = 1_200;

pub fn subject(n: u32) -> SubjectId {
    let mut bytes = [9; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SubjectId::from_bytes(bytes)
}

pub fn event(n: u32, id: &str) -> StoredEvent {
    let event = Event {
        subject: subject(n),
        agency: "lab-7".into(),
        id: format!("{id}-{n}"),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive },
    };
    StoredEvent::new(event, now())
}

/// Commits one event of each subject.
pub async fn commit(folder: &Folder, subjects: impl Iterator<Item = u32>, id: &str) {
    for batch in subjects.collect::<Vec<_>>().chunks(200) {
        folder.commit(batch.iter().map(|n| event(*n, id)).collect()).await.unwrap();
    }
}

/// A writer's folder with rules of this version.
pub async fn folder(store: &Arc<CqlStore>, version: u32) -> Result<Folder, StoreError> {
    let rules = Arc::new(Rules { version, ..Rules::built_in() });
    Folder::start(store.clone(), rules, yima_harness::samples::token_keys()).await
}

/// Version, events and rules version of the view of each subject that has one.
pub async fn views(store: &CqlStore, count: u32) -> BTreeMap<u32, (Version, EventSet, u32)> {
    let subjects: Vec<_> = (0..count).map(subject).collect();
    let found = store.lookup_many(&subjects).await.unwrap();
    let of = |found: &yima_store::VersionedView| {
        let view = View::decode(&found.view).unwrap();
        (found.version, view.events, view.rules_version)
    };
    (0..count).zip(&found).filter_map(|(n, found)| Some((n, of(found.as_ref()?)))).collect()
}

/// Options with short heartbeats and leases, so that no test waits long.
pub fn quick(options: CqlOptions) -> CqlOptions {
    CqlOptions {
        beat_every: Duration::from_millis(50),
        dead_after: Duration::from_millis(500),
        lease: Duration::from_secs(1),
        ..options
    }
}
