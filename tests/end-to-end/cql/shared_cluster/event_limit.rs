//! The limit of a subject's events while several writers append at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Barrier;
use yima_harness::now;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::{Appended, EventReader, ViewReader, WriterStore};
use yima_writer::fold::{CommitOutcome, Folder};

use crate::cql::{cluster, open, options};

/// Events that a fold reads of one subject.
const READ_EVENTS: usize = 8_000;

fn event(subject: SubjectId, agency: &str, id: &str, result: TestOutcome) -> StoredEvent {
    let event = Event {
        subject,
        agency: agency.into(),
        id: id.into(),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result },
    };
    StoredEvent::new(event, now())
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_in_two_regions_leave_a_subject_readable_and_open_to_restrictions() {
    let cluster = cluster();
    let subject = SubjectId::from_bytes(rand::random());
    let start = Arc::new(Barrier::new(8));
    let (mut stores, mut racing) = (Vec::new(), Vec::new());
    for n in 0..8 {
        let region = ["xian", "chengdu"][n % 2];
        let store = open(&options(&cluster, "event_limit", region)).await;
        stores.push(store.clone());
        let start = start.clone();
        racing.push(tokio::spawn(async move {
            store.open_stream().await.unwrap();
            start.wait().await;
            let agency = format!("lab-{n}");
            let mut taken = 0;
            for result in [TestOutcome::Negative, TestOutcome::Positive] {
                let events = (0..1_500).map(|id| event(subject, &agency, &format!("{}/{id}", result.as_str()), result));
                let outcomes = store.append(events.collect()).await.unwrap();
                taken += outcomes.iter().filter(|outcome| matches!(outcome, Appended::New(_))).count();
            }
            taken
        }));
    }
    let mut taken = 0;
    for racer in racing {
        taken += racer.await.unwrap();
    }
    eprintln!("eight writers brought a subject to {taken} events");
    assert!((2_000..READ_EVENTS).contains(&taken), "{taken} events of one subject were taken");
    for (region, store) in stores.iter().take(2).enumerate() {
        let folder = Folder::start(store.clone(), Arc::new(Rules::built_in()), yima_harness::samples::token_keys())
            .await
            .unwrap();
        let agency = format!("other-{region}");
        let refused = folder.commit(vec![event(subject, &agency, "n", TestOutcome::Negative)]).await.unwrap();
        assert_eq!(refused, [CommitOutcome::Full]);
        let restriction = event(subject, &agency, "p", TestOutcome::Positive);
        assert!(folder.commit(vec![restriction]).await.unwrap()[0].is_accepted());
        let stored = store.events(&[subject]).await.unwrap().remove(0);
        let view = View::decode(&store.lookup(subject).await.unwrap().unwrap().view).unwrap();
        assert!(view.events.count as usize > taken && stored.len() < READ_EVENTS);
        let mut of_agencies: BTreeMap<&str, usize> = BTreeMap::new();
        stored.iter().for_each(|stored| *of_agencies.entry(&stored.event.agency).or_default() += 1);
        eprintln!("{of_agencies:?}");
        folder.close().await.unwrap();
    }
}
