//! Duplicates on the embedded store: which of them owe a fold.

use std::time::Duration;

use yima_schema::event::{ContentHash, Event, EventData, StoredEvent};
use yima_schema::view::Version;
use yima_store::{Appended, EventReader, WriterStore};

use crate::fixture::{change, event, open, subject};

#[tokio::test]
async fn a_subject_of_many_events_is_decided_like_one_of_few() {
    for events in [1, 63, 64, 65, 200] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let all = || (0..events).map(|n| event(subject(1), &format!("e{n}"))).collect::<Vec<_>>();
        let new = store.append(all()).await.unwrap();
        assert!(new.iter().all(|outcome| matches!(outcome, Appended::New(_))));
        let owed = store.append(all()).await.unwrap();
        assert!(owed.iter().all(|outcome| matches!(outcome, Appended::Duplicate(_))));
        let stream = store.open_stream().await.unwrap();
        let marks = store.append(all()).await.unwrap().into_iter().chain(new).chain(owed);
        let marks = marks.map(|outcome| {
            let (Appended::New(mark) | Appended::Duplicate(mark)) = outcome else { panic!("{outcome:?}") };
            mark
        });
        store.publish(stream, vec![change(subject(1), Version(1))], marks.collect()).await.unwrap();
        assert!(store.append(all()).await.unwrap().iter().all(|outcome| *outcome == Appended::Settled));
        let mut other = event(subject(1), "e0").event;
        other.occurred_at = other.occurred_at.plus(Duration::from_secs(1));
        let other = StoredEvent::new(other, event(subject(1), "e0").received_at);
        // A new event owes a fold again, and a transaction that is refused leaves none owed.
        let refused = store.append_all(vec![event(subject(1), "x"), other.clone()]).await.unwrap();
        assert_eq!(refused, [Appended::NotTried, Appended::Conflict]);
        let outcomes = store.append(vec![event(subject(1), "e0"), other, event(subject(1), "x")]).await.unwrap();
        assert!(matches!(outcomes[..], [Appended::Settled, Appended::Conflict, Appended::New(_)]));
        let outcomes = store.append(vec![event(subject(1), "e0"), event(subject(1), "x")]).await.unwrap();
        assert!(matches!(outcomes[..], [Appended::Duplicate(_), Appended::Duplicate(_)]));
    }
}

#[tokio::test]
async fn a_duplicate_makes_no_later_duplicate_owe_a_fold() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let again = async || store.append(vec![event(subject(1), "a")]).await.unwrap().remove(0);
    let Appended::New(mark) = again().await else { panic!("it is new") };
    assert!(matches!(again().await, Appended::Duplicate(_)));
    let stream = store.open_stream().await.unwrap();
    store.publish(stream, vec![change(subject(1), Version(1))], vec![mark]).await.unwrap();
    assert_eq!(again().await, Appended::Settled, "the fold of the first duplicate is still owed, and changes nothing");
}

#[tokio::test]
async fn rows_with_birth_dates_are_replaced_once_and_stay_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let identity = |id: &str| {
        let data = EventData::Identity { name: "张*".into(), born: None, deceased_at: None };
        StoredEvent::new(Event { data, ..event(subject(1), id).event }, event(subject(1), id).received_at)
    };
    // An earlier program's hash covered a date of birth.
    let earlier = StoredEvent { hash: ContentHash([7; 16]), ..identity("i1") };
    store.append(vec![earlier.clone(), identity("i2"), event(subject(1), "t")]).await.unwrap();
    let again = async || store.append(vec![identity("i1"), identity("i2")]).await.unwrap();
    assert!(matches!(again().await[..], [Appended::Duplicate(_), Appended::Duplicate(_)]));
    assert_eq!(store.forget_birth_dates().await.unwrap(), 1);
    let stored = store.events(&[subject(1)]).await.unwrap().remove(0);
    assert!(stored.contains(&identity("i1")) && !stored.contains(&earlier) && stored.len() == 3);
    assert!(matches!(again().await[..], [Appended::Duplicate(_), Appended::Duplicate(_)]));
    assert_eq!(store.forget_birth_dates().await.unwrap(), 0, "a second run has nothing to do");
}
