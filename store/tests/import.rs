//! Import of a population: all or nothing.

use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedStore, ImportedSubject};
use yima_store::{Appended, EventReader, StoreError, ViewReader, WriterStore};

use crate::fixture::{event, open, subject, view};

const FIRST: Version = Version(1 << 48);

/// Subjects to import, ascending, with 3 events each.
pub fn population(count: u64) -> impl Iterator<Item = ImportedSubject> {
    let mut subjects: Vec<_> = (0..count).map(subject).collect();
    subjects.sort_unstable();
    subjects.into_iter().map(|s| ImportedSubject {
        subject: s,
        events: vec![event(s, "b"), event(s, "aa"), event(s, "a")],
        version: FIRST,
        view: view(FIRST),
    })
}

#[tokio::test]
async fn an_imported_population_can_be_read_and_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.is_empty().unwrap());
    let mut reported = Vec::new();
    assert_eq!(store.import(population(25_000), |done| reported.push(done)).unwrap(), 25_000);
    assert_eq!(reported, [10_000, 20_000, 25_000]);
    assert!(matches!(store.import(population(1), |_| ()), Err(StoreError::Rejected(_))));
    let outcomes = store.append(vec![event(subject(5), "a"), event(subject(5), "c")]).await.unwrap();
    assert!(matches!(outcomes[..], [Appended::Settled, Appended::New(_)]));
    drop(store);

    let store = open(dir.path());
    assert!(!store.is_empty().unwrap());
    assert_eq!(event_counts(&store, &[subject(5), subject(24_999)]).await, [4, 3]);
    assert!(store.lookup(subject(24_999)).await.unwrap().is_some_and(|v| v.version == FIRST && v.view == view(FIRST)));
}

async fn event_counts(store: &EmbeddedStore, subjects: &[SubjectId]) -> Vec<usize> {
    store.events(subjects).await.unwrap().iter().map(Vec::len).collect()
}

#[tokio::test]
async fn an_interrupted_import_leaves_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let unsorted = population(1_000).chain(population(1));
    assert!(matches!(store.import(unsorted, |_| ()), Err(StoreError::Rejected(_))));
    let refused = store.append(vec![event(subject(1), "a")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "a store whose import failed takes writes");
    drop(store);

    // As if the process had died between the two tables, several times.
    for _ in 0..4 {
        let store = open(dir.path());
        assert!(store.is_empty().unwrap(), "rows of an unfinished import are stored");
        store.import(population(1_000), |_| ()).unwrap();
        drop(store);
        let db = fjall::Database::builder(dir.path()).open().unwrap();
        let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("import", "started").unwrap();
        drop((meta, db));
    }
    let store = open(dir.path());
    assert!(store.is_empty().unwrap(), "rows of an unfinished import are stored");
    assert!(store.lookup(subject(1)).await.unwrap().is_none());
    assert_eq!(store.import(population(2_000), |_| ()).unwrap(), 2_000);
    drop(store);
    for _ in 0..2 {
        let store = open(dir.path());
        assert_eq!(event_counts(&store, &[subject(1_999)]).await, [3], "a restart lost the import");
    }
}
