//! Following on the real embedded store, with marks that a test holds in its hands.

use std::collections::BTreeMap;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::mark::EventName;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{Place, ViewReader, WriterStore};

use super::*;
use crate::fold::damaged::Damaged;

/// The events of this one cannot be read.
const UNREADABLE: u8 = 9;

fn event(n: u8) -> StoredEvent {
    let event = Event {
        subject: SubjectId::from_bytes([n; 16]),
        agency: "lab-7".into(),
        id: format!("e-{n}"),
        revision: 0,
        document: "E1*****78".into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive },
    };
    StoredEvent::new(event, Time::from_secs(1_790_000_100))
}

/// One stream of another region. What is "elsewhere" is only read at the source.
struct Fake {
    source: Mutex<Source>,
    here: Mutex<BTreeMap<u64, Option<EventName>>>,
    elsewhere: Mutex<BTreeMap<u64, Option<EventName>>>,
    events_elsewhere: Mutex<Vec<StoredEvent>>,
    store: Arc<EmbeddedStore>,
    settled: Mutex<(u64, Time)>,
    leased: Mutex<bool>,
}

#[async_trait]
impl MarkFeed for Fake {
    async fn sources(&self) -> Result<Vec<Source>, StoreError> {
        Ok(vec![self.source.lock().clone()])
    }

    async fn lease(&self, _: &Source) -> Result<bool, StoreError> {
        Ok(*self.leased.lock())
    }

    async fn marks(
        &self,
        _: &Source,
        place: Place,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<EventName>)>, StoreError> {
        let mut rows = self.here.lock().clone();
        if place == Place::Source {
            rows.extend(self.elsewhere.lock().clone());
        }
        Ok(rows.range(after + 1..).take(limit).map(|(n, event)| (*n, event.clone())).collect())
    }

    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>, StoreError> {
        let subjects: Vec<_> = events.iter().map(|e| e.subject).collect();
        let found = yima_store::EventReader::events(&*self.store, &subjects).await?;
        Ok(found.iter().map(|events| !events.is_empty()).collect())
    }

    async fn fetch(&self, _: &Source, events: &[EventName]) -> Result<Vec<bool>, StoreError> {
        let mut found = Vec::new();
        for name in events {
            let event = self.events_elsewhere.lock().iter().find(|e| EventName::of(e) == *name).cloned();
            found.push(event.is_some());
            self.store.append(event.into_iter().collect()).await?;
        }
        Ok(found)
    }

    async fn settle(&self, _: &Source, position: u64, as_of: Time) -> Result<(), StoreError> {
        *self.settled.lock() = (position, as_of);
        Ok(())
    }

    async fn missed(&self, _: &Source) -> Result<(), StoreError> {
        self.source.lock().missed = true;
        Ok(())
    }

    async fn close_dead(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

struct Test {
    _dir: tempfile::TempDir,
    fake: Arc<Fake>,
    follower: MarkFollower,
}

impl Test {
    async fn new(written: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::new("xian", [0; 16])).unwrap();
        let source = Source {
            region: "chengdu".into(),
            stream: StreamId(1),
            position: 0,
            settled_as_of: Time::MIN,
            missed: false,
            written,
            open: true,
            taken: written,
            as_of: Time::from_secs(1_790_000_200),
        };
        let fake = Arc::new(Fake {
            source: Mutex::new(source),
            here: Mutex::default(),
            elsewhere: Mutex::default(),
            events_elsewhere: Mutex::default(),
            store: store.clone(),
            settled: Mutex::new((0, Time::MIN)),
            leased: Mutex::new(true),
        });
        let damaged = Arc::new(Damaged { store, subject: SubjectId::from_bytes([UNREADABLE; 16]) });
        let folder = Folder::start(damaged, Arc::new(Rules::built_in())).await.unwrap();
        let follower = MarkFollower::new(fake.clone(), Arc::new(folder));
        Self { _dir: dir, fake, follower }
    }

    fn mark(&self, number: u64, n: u8) {
        self.fake.here.lock().insert(number, Some(EventName::of(&event(n))));
    }

    async fn arrives(&self, n: u8) {
        self.fake.store.append(vec![event(n)]).await.unwrap();
    }

    async fn is_red(&self, n: u8) -> bool {
        let found = self.fake.store.lookup(SubjectId::from_bytes([n; 16])).await.unwrap();
        found.is_some_and(|found| View::decode(&found.view).unwrap().events.count == 1)
    }

    fn settled(&self) -> (u64, bool) {
        let settled = *self.fake.settled.lock();
        (settled.0, settled.1 == self.fake.source.lock().as_of)
    }

    /// As long after as it takes for what is late to be asked for.
    async fn much_later(&mut self) {
        self.follower.following.values_mut().for_each(Following::hurry);
        self.follower.round().await.unwrap();
    }
}

#[tokio::test]
async fn an_event_is_folded_when_it_has_arrived_and_the_position_follows() {
    let mut test = Test::new(2).await;
    test.mark(1, 1);
    test.mark(2, 2);
    test.arrives(2).await;
    test.follower.round().await.unwrap();
    assert!(test.is_red(2).await && !test.is_red(1).await);
    assert_eq!(test.settled(), (0, false), "mark 1 is not done");
    test.arrives(1).await;
    test.follower.round().await.unwrap();
    assert!(test.is_red(1).await);
    assert_eq!(test.settled(), (2, true));
}

#[tokio::test]
async fn rows_beyond_a_gap_are_folded_and_the_gap_is_filled_where_it_comes_from() {
    let mut test = Test::new(3).await;
    test.mark(3, 3);
    test.arrives(3).await;
    test.fake.here.lock().insert(1, None);
    test.follower.round().await.unwrap();
    assert!(test.is_red(3).await);
    assert_eq!(test.settled(), (1, false));
    test.fake.elsewhere.lock().insert(2, Some(EventName::of(&event(2))));
    test.arrives(2).await;
    test.much_later().await;
    assert!(test.is_red(2).await);
    assert_eq!(test.settled(), (3, true));
}

#[tokio::test]
async fn what_does_not_arrive_is_fetched_and_what_nobody_has_is_void_only_when_closed() {
    let mut test = Test::new(2).await;
    test.mark(1, 1);
    test.mark(2, 2);
    test.fake.events_elsewhere.lock().push(event(1));
    test.follower.round().await.unwrap();
    assert!(!test.is_red(1).await, "it may come by itself");
    test.much_later().await;
    assert!(test.is_red(1).await);
    assert_eq!(test.settled(), (1, false), "the writer of mark 2 may be about to write its event");
    test.fake.source.lock().open = false;
    test.much_later().await;
    assert_eq!(test.settled(), (2, true));
}

#[tokio::test]
async fn marks_that_expired_are_passed_over_and_nobody_is_told_to_know_all_until_reconciled() {
    let mut test = Test::new(3).await;
    test.mark(3, 3);
    test.arrives(3).await;
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (0, false));
    test.much_later().await;
    assert!(test.is_red(3).await);
    assert_eq!(test.settled(), (3, false));
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (3, false));
    test.fake.source.lock().missed = false;
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (3, true));
}

#[tokio::test]
async fn who_cannot_be_read_is_passed_over_and_counted_apart() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut test = Test::new(3).await;
    for (number, n) in [(1, 1), (2, UNREADABLE), (3, 3)] {
        test.mark(number, n);
        test.arrives(n).await;
    }
    test.follower.round().await.unwrap();
    assert!(test.is_red(1).await && !test.is_red(UNREADABLE).await && test.is_red(3).await);
    assert_eq!(test.settled(), (3, true));
    let metrics = recorder.handle().render();
    for (outcome, marks) in [("folded", 2), ("corrupt", 1)] {
        let sample = format!("marks_total{{region=\"chengdu\",outcome=\"{outcome}\"}} {marks}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
}

#[tokio::test]
async fn without_the_lease_nothing_is_done() {
    let mut test = Test::new(1).await;
    *test.fake.leased.lock() = false;
    test.mark(1, 1);
    test.arrives(1).await;
    test.follower.round().await.unwrap();
    assert!(!test.is_red(1).await);
    *test.fake.leased.lock() = true;
    test.follower.round().await.unwrap();
    assert!(test.is_red(1).await);
}
