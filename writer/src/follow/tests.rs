//! Following on the real embedded store, with a mark feed that the test controls.

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

/// The subject whose events cannot be read.
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

/// One stream of another region. The fields `…_elsewhere` are only read at [`Place::Source`].
struct FakeFeed {
    source: Mutex<Source>,
    marks_here: Mutex<BTreeMap<u64, Option<EventName>>>,
    marks_elsewhere: Mutex<BTreeMap<u64, Option<EventName>>>,
    events_elsewhere: Mutex<Vec<StoredEvent>>,
    store: Arc<EmbeddedStore>,
    settled: Mutex<(u64, Time)>,
    leased: Mutex<bool>,
    /// Whether the source region does not answer.
    source_lost: Mutex<bool>,
}

impl FakeFeed {
    fn ask_source(&self) -> Result<(), StoreError> {
        if *self.source_lost.lock() { Err(StoreError::Unavailable("the source region".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl MarkFeed for FakeFeed {
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
        let mut rows = self.marks_here.lock().clone();
        if place == Place::Source {
            self.ask_source()?;
            rows.extend(self.marks_elsewhere.lock().clone());
        }
        Ok(rows.range(after + 1..).take(limit).map(|(n, event)| (*n, event.clone())).collect())
    }

    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>, StoreError> {
        let subjects: Vec<_> = events.iter().map(|e| e.subject).collect();
        let found = yima_store::EventReader::events(&*self.store, &subjects).await?;
        Ok(found.iter().map(|events| !events.is_empty()).collect())
    }

    async fn fetch(&self, _: &Source, events: &[EventName]) -> Result<Vec<bool>, StoreError> {
        self.ask_source()?;
        let mut fetched = Vec::new();
        for name in events {
            let event = self.events_elsewhere.lock().iter().find(|e| EventName::of(e) == *name).cloned();
            fetched.push(event.is_some());
            self.store.append(event.into_iter().collect()).await?;
        }
        Ok(fetched)
    }

    async fn settle(&self, _: &Source, position: u64, as_of: Time) -> Result<(), StoreError> {
        *self.settled.lock() = (position, as_of);
        Ok(())
    }

    async fn missed(&self, _: &Source) -> Result<(), StoreError> {
        self.source.lock().missed = true;
        Ok(())
    }

    async fn seal_dead_streams(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

struct Test {
    _dir: tempfile::TempDir,
    feed: Arc<FakeFeed>,
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
        let feed = Arc::new(FakeFeed {
            source: Mutex::new(source),
            marks_here: Mutex::default(),
            marks_elsewhere: Mutex::default(),
            events_elsewhere: Mutex::default(),
            store: store.clone(),
            settled: Mutex::new((0, Time::MIN)),
            leased: Mutex::new(true),
            source_lost: Mutex::new(false),
        });
        let damaged = Arc::new(Damaged { store, subject: SubjectId::from_bytes([UNREADABLE; 16]) });
        let folder =
            Folder::start(damaged, Arc::new(Rules::built_in()), crate::fold::tests::token_keys()).await.unwrap();
        let follower = MarkFollower::new(feed.clone(), Arc::new(folder));
        Self { _dir: dir, feed, follower }
    }

    fn mark(&self, number: u64, n: u8) {
        self.feed.marks_here.lock().insert(number, Some(EventName::of(&event(n))));
    }

    async fn arrive(&self, n: u8) {
        self.feed.store.append(vec![event(n)]).await.unwrap();
    }

    async fn is_folded(&self, n: u8) -> bool {
        let found = self.feed.store.lookup(SubjectId::from_bytes([n; 16])).await.unwrap();
        found.is_some_and(|found| View::decode(&found.view).unwrap().events.count == 1)
    }

    fn settled(&self) -> (u64, bool) {
        let settled = *self.feed.settled.lock();
        (settled.0, settled.1 == self.feed.source.lock().as_of)
    }

    /// A round in which every waiting mark is old enough to be fetched.
    async fn round_when_late(&mut self) {
        self.follower.streams.values_mut().for_each(StreamFollower::age);
        self.follower.round().await.unwrap();
    }
}

#[tokio::test]
async fn the_position_follows_the_events_that_have_arrived() {
    let mut test = Test::new(2).await;
    test.mark(1, 1);
    test.mark(2, 2);
    test.arrive(2).await;
    test.follower.round().await.unwrap();
    assert!(test.is_folded(2).await && !test.is_folded(1).await);
    assert_eq!(test.settled(), (0, false), "mark 1 is not done");
    test.arrive(1).await;
    test.follower.round().await.unwrap();
    assert!(test.is_folded(1).await);
    assert_eq!(test.settled(), (2, true));
}

#[tokio::test]
async fn as_of_moves_on_while_each_heartbeat_has_marks_that_have_not_arrived() {
    let mut test = Test::new(1).await;
    let heartbeat = |number: u8| {
        let mut source = test.feed.source.lock();
        (source.taken, source.written) = (number.into(), number.into());
        source.as_of = Time::from_secs(1_790_000_200 + i64::from(number));
        source.as_of
    };
    let mut moments = vec![heartbeat(1)];
    test.follower.round().await.unwrap();
    for number in 2..6 {
        // Of each heartbeat the last mark is still on its way.
        test.mark((number - 1).into(), number - 1);
        test.arrive(number - 1).await;
        moments.push(heartbeat(number));
        test.follower.round().await.unwrap();
        let settled = *test.feed.settled.lock();
        assert_eq!(settled, (u64::from(number) - 1, moments[usize::from(number) - 2]));
    }
}

#[tokio::test]
async fn marks_beyond_a_gap_are_folded_and_the_gap_is_read_at_the_source() {
    let mut test = Test::new(3).await;
    test.mark(3, 3);
    test.arrive(3).await;
    test.feed.marks_here.lock().insert(1, None);
    test.follower.round().await.unwrap();
    assert!(test.is_folded(3).await);
    assert_eq!(test.settled(), (1, false));
    test.feed.marks_elsewhere.lock().insert(2, Some(EventName::of(&event(2))));
    test.arrive(2).await;
    test.round_when_late().await;
    assert!(test.is_folded(2).await);
    assert_eq!(test.settled(), (3, true));
}

#[tokio::test]
async fn marks_beyond_a_gap_are_folded_though_the_source_region_is_lost() {
    let mut test = Test::new(4).await;
    *test.feed.source_lost.lock() = true;
    test.mark(3, 3);
    test.follower.round().await.unwrap();
    test.arrive(3).await;
    test.follower.streams.values_mut().for_each(StreamFollower::age);
    assert!(matches!(test.follower.round().await, Err(StoreError::Unavailable(_))));
    assert!(test.is_folded(3).await);
}

#[tokio::test]
async fn late_events_are_fetched_and_a_mark_without_event_is_void_only_in_a_sealed_stream() {
    let mut test = Test::new(2).await;
    test.mark(1, 1);
    test.mark(2, 2);
    test.feed.events_elsewhere.lock().push(event(1));
    test.follower.round().await.unwrap();
    assert!(!test.is_folded(1).await, "it is not late yet");
    test.round_when_late().await;
    assert!(test.is_folded(1).await);
    assert_eq!(test.settled(), (1, false), "the writer of mark 2 may still write its event");
    test.feed.source.lock().open = false;
    test.round_when_late().await;
    assert_eq!(test.settled(), (2, true));
}

#[tokio::test]
async fn after_expired_marks_as_of_stands_still_until_reconciled() {
    let mut test = Test::new(3).await;
    test.mark(3, 3);
    test.arrive(3).await;
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (0, false));
    test.round_when_late().await;
    assert!(test.is_folded(3).await);
    assert_eq!(test.settled(), (3, false));
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (3, false));
    test.feed.source.lock().missed = false;
    test.follower.round().await.unwrap();
    assert_eq!(test.settled(), (3, true));
}

#[tokio::test]
async fn an_unreadable_subject_is_skipped_and_counted_as_corrupt() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut test = Test::new(3).await;
    for (number, n) in [(1, 1), (2, UNREADABLE), (3, 3)] {
        test.mark(number, n);
        test.arrive(n).await;
    }
    test.follower.round().await.unwrap();
    assert!(test.is_folded(1).await && !test.is_folded(UNREADABLE).await && test.is_folded(3).await);
    assert_eq!(test.settled(), (3, true));
    let metrics = recorder.handle().render();
    for (outcome, marks) in [("folded", 2), ("corrupt", 1)] {
        let sample = format!("marks_total{{region=\"chengdu\",outcome=\"{outcome}\"}} {marks}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
}

#[tokio::test]
async fn a_stream_is_not_followed_without_its_lease() {
    let mut test = Test::new(1).await;
    *test.feed.leased.lock() = false;
    test.mark(1, 1);
    test.arrive(1).await;
    test.follower.round().await.unwrap();
    assert!(!test.is_folded(1).await);
    *test.feed.leased.lock() = true;
    test.follower.round().await.unwrap();
    assert!(test.is_folded(1).await);
}
