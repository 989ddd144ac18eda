//! Folds on the real embedded store.

use std::collections::HashMap;

use yima_schema::code::{DenialTag, SLOT};
use yima_schema::derive::{DERIVE_VERSION, derive};
use yima_schema::event::{Event, EventData, PhoneChange, StoredEvent, TestKind, TestOutcome};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{BundleStore, EventReader, Feed, VersionedView, ViewReader, ViewWrite};

use super::damaged::Damaged;
use super::*;

fn subject(n: u8) -> SubjectId {
    SubjectId::from_bytes([n; 16])
}

fn event(subject_n: u8, id: &str, positive: bool) -> StoredEvent {
    let result = if positive { TestOutcome::Positive } else { TestOutcome::Negative };
    let event = Event {
        subject: subject(subject_n),
        agency: "lab-7".into(),
        id: id.into(),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result },
    };
    StoredEvent::new(event, Time::from_secs(1_790_000_100))
}

/// The keys of denial tags in tests.
pub(crate) fn token_keys() -> Arc<TokenKeys> {
    Arc::new(TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32])))
}

fn open(dir: &tempfile::TempDir) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(dir.path(), EmbeddedOptions::new("test", [0; 16])).unwrap()
}

async fn folder(store: &Arc<EmbeddedStore>) -> Arc<Folder> {
    Arc::new(Folder::start(store.clone(), Arc::new(Rules::built_in()), token_keys()).await.unwrap())
}

async fn stored_view(store: &EmbeddedStore, n: u8) -> (Version, View) {
    let found = store.lookup(subject(n)).await.unwrap().unwrap();
    (found.version, View::decode(&found.view).unwrap())
}

/// The highest version of each subject in the feed.
async fn published(store: &EmbeddedStore) -> HashMap<SubjectId, Version> {
    let mut newest = HashMap::new();
    for stream in store.registry().await.unwrap().streams {
        for (_, change) in store.changes(stream.id, 0, usize::MAX).await.unwrap() {
            let change = change.unwrap();
            let version: &mut Version = newest.entry(change.subject).or_default();
            *version = (*version).max(change.version);
        }
    }
    newest
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_and_eight_clients_lose_nothing() {
    const SUBJECTS: u8 = 20;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folders = [folder(&store).await, folder(&store).await];
    let clients = (0..8usize).map(|client| {
        let folder = folders[client % 2].clone();
        tokio::spawn(async move {
            for round in 0..6 {
                let id = format!("{client}-{round}");
                let events = (0..SUBJECTS).map(|n| event(n, &id, n % 3 == 0)).collect();
                let outcomes = folder.commit(events).await.unwrap();
                assert!(outcomes.iter().all(|o| o.is_accepted()));
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let rules = Rules::built_in();
    let published = published(&store).await;
    for n in 0..SUBJECTS {
        let events = store.events(&[subject(n)]).await.unwrap().remove(0);
        let (version, view) = stored_view(&store, n).await;
        assert_eq!(events.len(), 48);
        assert!(view == derive(&events, &rules));
        assert_eq!(published[&subject(n)], version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_commit_has_its_own_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    let first = folder.commit(vec![event(1, "a", false), event(1, "a", false), event(1, "a", true)]).await.unwrap();
    let (version, _) = stored_view(&store, 1).await;
    assert_eq!(first, [CommitOutcome::Accepted(version), CommitOutcome::Duplicate, CommitOutcome::Conflict]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_duplicate_reads_no_events_and_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    folder(&store).await.commit(vec![event(1, "a", false)]).await.unwrap();
    let changes = store.registry().await.unwrap().streams[0].last;
    // A folder that reads no events of this subject.
    let damaged = Arc::new(Damaged { store: store.clone(), subject: subject(1) });
    let folder = Folder::start(damaged, Arc::new(Rules::built_in()), token_keys()).await.unwrap();
    assert_eq!(folder.commit(vec![event(1, "a", false)]).await.unwrap(), [CommitOutcome::Duplicate]);
    assert_eq!(store.registry().await.unwrap().streams[0].last, changes);
    assert_eq!(store.registry().await.unwrap().streams[1].last, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_whose_fold_is_owed_is_folded_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    // Another request has appended the event and not folded it yet.
    store.append(vec![event(1, "a", true)]).await.unwrap();
    assert_eq!(folder.commit(vec![event(1, "a", true)]).await.unwrap(), [CommitOutcome::Duplicate]);
    assert_eq!(published(&store).await[&subject(1)], stored_view(&store, 1).await.0);
}

/// The denial tags of this slot.
async fn denied(store: &EmbeddedStore) -> Vec<DenialTag> {
    store.denials(now().as_secs() / SLOT.as_secs() as i64, now(), 1_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_view_makes_out_of_date_are_denied_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    let phone = |id: &str, change| {
        let mut stored = event(1, id, false);
        stored.event.occurred_at = now();
        stored.event.data = EventData::Phone { id: 5, change };
        StoredEvent::new(stored.event, now())
    };
    let tag = |number| token_keys().denial_tag(subject(1), 5, now().as_secs() / SLOT.as_secs() as i64, number);
    folder.commit(vec![phone("start", PhoneChange::Started { name: "p".into() })]).await.unwrap();
    folder.commit(vec![event(1, "negative", false)]).await.unwrap();
    assert!(denied(&store).await.is_empty());
    folder.commit(vec![event(1, "positive", true)]).await.unwrap();
    assert_eq!(denied(&store).await, [tag(0)]);
    // Nothing new, and folds of it again, deny nothing more.
    folder.commit(vec![event(1, "positive", true)]).await.unwrap();
    folder.refold(&[subject(1)]).await.unwrap();
    assert_eq!(denied(&store).await, [tag(0)]);
    folder.commit(vec![phone("end", PhoneChange::Ended)]).await.unwrap();
    let denied = denied(&store).await;
    assert!(denied.len() == 2 && denied.contains(&tag(0)) && denied.contains(&tag(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_in_pieces_loses_no_subject() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let smallest = NonZeroU64::new(32 << 20).unwrap();
    let folder =
        Folder::start_within(store.clone(), Arc::new(Rules::built_in()), token_keys(), smallest).await.unwrap();
    // Ten subjects of 900 events do not fit into one piece.
    let all = |n| (0..900).map(move |id| event(n, &format!("e{id}"), false));
    for n in 0..10 {
        folder.commit(all(n).collect()).await.unwrap();
    }
    let outcomes = folder.commit((0..20).map(|n| event(n, "new", true)).collect()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.is_accepted()));
    let published = published(&store).await;
    for n in 0..20 {
        let (version, view) = stored_view(&store, n).await;
        assert_eq!(view.events.count, if n < 10 { 901 } else { 1 });
        assert_eq!(published[&subject(n)], version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_before_an_error_is_folded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    let turn = store.turn_events().unwrap().get() as usize;
    let mut events: Vec<_> = (0..=turn).map(|n| event(1, &format!("e{n}"), n == 0)).collect();
    events[turn].event.id = "e".repeat(256); // no key of the store is that long
    assert!(matches!(folder.commit(events).await, Err(StoreError::Rejected(_))));
    let (version, view) = stored_view(&store, 1).await;
    assert_eq!(view.events.count as usize, turn);
    assert_eq!(published(&store).await[&subject(1)], version);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_an_earlier_process_are_folded_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    // The state of a process that died between the append and the fold.
    store.append(vec![event(1, "a", true), event(2, "b", false)]).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&dir);
    assert_eq!(store.unsettled().await.unwrap().len(), 2);
    folder(&store).await;
    for n in [1, 2] {
        assert_eq!(stored_view(&store, n).await.1.events.count, 1);
        assert!(published(&store).await.contains_key(&subject(n)));
    }
    store.close().await;
    drop(store);
    assert!(open(&dir).unsettled().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_subject_does_not_block_other_subjects() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.append(vec![event(1, "a", true), event(2, "b", true), event(3, "c", true)]).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&dir);
    let damaged = Arc::new(Damaged { store: store.clone(), subject: subject(2) });
    let folder = Folder::start(damaged, Arc::new(Rules::built_in()), token_keys()).await.unwrap();
    let folded = async |n| store.lookup(subject(n)).await.unwrap().is_some();
    assert_eq!((folded(1).await, folded(2).await, folded(3).await), (true, false, true));
    assert_eq!(store.unsettled().await.unwrap().iter().map(|(_, subject)| *subject).collect::<Vec<_>>(), [subject(2)]);
    assert_eq!(folder.refold(&[1, 2, 3].map(subject)).await.unwrap(), [subject(2)]);
    assert_eq!(folder.refold(&[]).await.unwrap(), []);
    let outcomes = folder.commit(vec![event(1, "d", true), event(2, "e", true), event(1, "a", true)]).await.unwrap();
    let (version, _) = stored_view(&store, 1).await;
    assert_eq!(outcomes, [CommitOutcome::Accepted(version), CommitOutcome::Unreadable, CommitOutcome::Duplicate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_stream_was_sealed_publishes_in_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    folder.commit(vec![event(1, "a", false)]).await.unwrap();
    let stream = folder.stream.id();
    store.close_stream(stream).await.unwrap();
    assert_eq!(
        folder.commit(vec![event(1, "b", true)]).await.unwrap(),
        [CommitOutcome::Accepted(stored_view(&store, 1).await.0)]
    );
    assert_ne!(folder.stream.id(), stream);
    assert_eq!(published(&store).await[&subject(1)], stored_view(&store, 1).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_derived_by_newer_rules_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let old = folder(&store).await;
    let newer_rules = Arc::new(Rules { version: 2, ..Rules::built_in() });
    let new = Folder::start(store.clone(), newer_rules, token_keys()).await.unwrap();
    new.commit(vec![event(1, "a", false)]).await.unwrap();
    let before = stored_view(&store, 1).await;
    let refused = old.commit(vec![event(1, "b", true)]).await;
    assert!(matches!(refused, Err(StoreError::Rejected(why)) if why.contains("version 2")));
    assert!(old.is_outdated());
    assert!(stored_view(&store, 1).await == before);
    // The folder with the newer rules finishes the fold.
    new.refold(&[subject(1)]).await.unwrap();
    assert_eq!(stored_view(&store, 1).await.1.events.count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_an_older_program_is_derived_again_and_one_of_a_newer_program_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let folder = folder(&store).await;
    folder.commit(vec![event(1, "a", false)]).await.unwrap();
    let derived = stored_view(&store, 1).await.1;
    assert_eq!(derived.derive_version, DERIVE_VERSION);
    let set = async |view: Vec<u8>| {
        let expected = store.lookup(subject(1)).await.unwrap().unwrap().version;
        let (next, view) = (expected.next(store.epoch()), view.into());
        let write = ViewWrite { subject: subject(1), expected, next, view, denials: Vec::new() };
        assert_eq!(store.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    };
    set(derived.encode_format_1()).await;
    assert_eq!(stored_view(&store, 1).await.1.derive_version, 0);
    folder.refold(&[subject(1)]).await.unwrap();
    assert!(stored_view(&store, 1).await.1 == derived);

    let newer = View { derive_version: DERIVE_VERSION + 1, ..derived.clone() }.encode();
    let unknown = (newer[0]..).find(|format| View::is_newer(&[*format])).unwrap();
    let newer_format = [&[unknown], &newer[1..]].concat();
    for newer in [newer.to_vec(), newer_format] {
        set(newer.clone()).await;
        let before = store.lookup(subject(1)).await.unwrap();
        let refused = folder.commit(vec![event(1, "b", true)]).await;
        assert!(matches!(refused, Err(StoreError::Rejected(why)) if why.contains("newer program")));
        assert!(folder.is_outdated() && store.lookup(subject(1)).await.unwrap() == before);
    }
}

#[test]
fn a_view_from_before_a_restore_is_written_again_above_the_epoch() {
    let rules = Rules::built_in();
    let events = vec![event(1, "a", false)];
    let view = derive(&events, &rules).encode();
    let plan_at = |version| {
        let current = vec![Some(VersionedView { version, view: view.clone() })];
        let denying = Denying { keys: &token_keys(), now: Time::default() };
        plan(&[subject(1)], current, std::slice::from_ref(&events), &rules, 2, denying).unwrap()
    };
    let Changed { expected, change, .. } = plan_at(Version(1 << 48)).changed.remove(0);
    assert_eq!((expected, change.version), (Version(1 << 48), Version::floor(2)));
    assert_eq!(plan_at(Version::floor(2)).unchanged.len(), 1);
}
