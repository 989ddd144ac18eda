//! Conflicts: two writers, or two regions, receive different contents of one event at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use yima_harness::now;
use yima_schema::derive::derive;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::cql::CqlStore;
use yima_store::{EventReader, ViewReader};
use yima_writer::fold::{CommitOutcome, Folder};
use yima_writer::follow::MarkFollower;

use crate::cql::{cluster, open, options};

fn event(subject: SubjectId, result: TestOutcome) -> StoredEvent {
    let event = Event {
        subject,
        agency: "lab-7".into(),
        id: "same".into(),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result },
    };
    StoredEvent::new(event, now())
}

/// A writer's folder, and the task that follows marks.
async fn writer(store: &Arc<CqlStore>) -> (Arc<Folder>, tokio::task::JoinHandle<()>) {
    let folder = Arc::new(
        Folder::start(store.clone(), Arc::new(Rules::built_in()), yima_harness::samples::token_keys()).await.unwrap(),
    );
    let follower = MarkFollower::new(store.clone(), folder.clone());
    (folder, tokio::spawn(follower.run()))
}

/// Waits until a subject's view in a region is the fold of this number of events; returns it.
async fn wait_for_fold(store: &CqlStore, subject: SubjectId, events: usize) -> View {
    let started = Instant::now();
    loop {
        let stored = store.events(&[subject]).await.unwrap().remove(0);
        let found = store.lookup(subject).await.unwrap();
        if let Some(view) = found.map(|found| View::decode(&found.view).unwrap())
            && stored.len() == events
            && view == derive(&stored, &Rules::built_in())
        {
            return view;
        }
        // Unlike `until_async`, the failure shows the number of events.
        let waited = started.elapsed();
        assert!(
            waited < Duration::from_secs(20),
            "after {waited:?}: {} of {events} events, or no fold of them",
            stored.len()
        );
        tokio::task::yield_now().await;
    }
}

/// One positive and one negative result under one id, committed concurrently by two folders. Either one is refused; or
/// both are kept, and the view has the more restrictive one and a conflict.
async fn race(stores: [&Arc<CqlStore>; 2]) {
    let mut both_kept = 0;
    let folders = [writer(stores[0]).await, writer(stores[1]).await];
    for _ in 0..20 {
        let subject = SubjectId::from_bytes(rand::random());
        let start = Arc::new(Barrier::new(2));
        let results = [TestOutcome::Positive, TestOutcome::Negative];
        let racing = [0, 1].map(|n| {
            let (folder, start) = (folders[n].0.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                folder.commit(vec![event(subject, results[n])]).await.unwrap().remove(0)
            })
        });
        let mut outcomes = Vec::new();
        for racer in racing {
            outcomes.push(racer.await.unwrap());
        }
        let accepted = outcomes.iter().filter(|o| o.is_accepted()).count();
        assert!(
            accepted >= 1 && outcomes.iter().all(|o| o.is_accepted() || *o == CommitOutcome::Conflict),
            "{outcomes:?}"
        );
        both_kept += usize::from(accepted == 2);
        for store in stores {
            let view = wait_for_fold(store, subject, accepted).await;
            let positive = outcomes[0].is_accepted();
            assert_eq!(view.conflict, accepted == 2);
            assert_eq!(view.tests[0].result == TestOutcome::Positive, positive, "the more restrictive one counts");
        }
    }
    eprintln!("{both_kept} of 20 races kept both contents");
    for (folder, following) in folders {
        following.abort();
        folder.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_at_two_writers_is_refused_or_shown() {
    let cluster = cluster();
    let options = options(&cluster, "racing_writers", "xian");
    let (one, other) = (open(&options).await, open(&options).await);
    race([&one, &other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_two_regions_is_refused_or_shown() {
    let cluster = cluster();
    let xian = open(&options(&cluster, "racing_regions", "xian")).await;
    let chengdu = open(&options(&cluster, "racing_regions", "chengdu")).await;
    race([&xian, &chengdu]).await;
}
