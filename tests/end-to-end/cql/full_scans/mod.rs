//! Jobs that scan all subjects: reconcile, rebuild, refold; and the scan itself.

mod rebuild;
mod reconcile;
mod refold;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yima_harness::now;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{EventSet, Version, View};
use yima_store::cql::{CqlOptions, CqlStore, migrate};
use yima_store::{Feed, StoreError, SubjectScan, ViewReader, WriterStore};
use yima_writer::fold::Folder;

use super::{cluster, options};

/// Number of subjects that takes more than two pages of a scan.
const SUBJECTS: u32 = 1_200;

pub fn subject(n: u32) -> SubjectId {
    let mut bytes = [9; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SubjectId::from_bytes(bytes)
}

fn event(n: u32, id: &str) -> StoredEvent {
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
    Folder::start(store.clone(), Arc::new(Rules { version, ..Rules::built_in() })).await
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

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_visits_every_subject_once_in_pages_of_any_size() {
    let cluster = cluster();
    let options = options(&cluster, "paged", "xian");
    migrate(&options, None, now()).await.unwrap();
    let store = CqlStore::open(options).await.unwrap();
    store.append((0..300).flat_map(|n| [event(n, "a"), event(n, "b")]).collect()).await.unwrap();
    for limit in [2, 7, 300, 301] {
        let (mut after, mut seen) = (i64::MIN, Vec::new());
        while after < i64::MAX {
            let page = store.subjects(None, after, limit).await.unwrap();
            assert!(page.upto > after && page.subjects.iter().all(|(at, _)| *at > after && *at <= page.upto));
            after = page.upto;
            seen.extend(page.subjects.into_iter().map(|(_, subject)| subject));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..300).map(subject)), "in pages of {limit}");
    }
    let names = store.event_names(None, &[subject(5), subject(300)]).await.unwrap();
    assert_eq!((names[0].len(), names[1].len()), (2, 0));
    assert!(store.registry().await.is_ok());
}
