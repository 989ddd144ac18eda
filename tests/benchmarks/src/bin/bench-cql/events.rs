//! Events per second: the writer's fold beside the driver alone, which executes the statements of one event in their
//! order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row};
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_store::WriterStore;
use yima_store::cql::{BenchDriver, CqlOptions, CqlStore};
use yima_writer::fold::Folder;

use crate::figures::{Rate, Rounds, rate, report_medians};
use crate::samples::{self, Encoded};

const IN_FLIGHT: usize = 128;
/// As many callers, and batches as large, as from uploads of NDJSON.
pub(crate) const CALLERS: usize = 4;
pub(crate) const BATCH: usize = 2_000;

/// Compares the contestants, with `count` events of each in a round; returns the subjects that have views now.
pub(crate) async fn compare(options: &CqlOptions, rounds: usize, count: usize) -> Vec<SubjectId> {
    let driver = Arc::new(DriverAlone::open(options).await);
    let store = CqlStore::open(options.clone()).await.expect("the schema exists");
    let folder =
        Folder::start(store, Arc::new(Rules::built_in()), yima_harness::samples::token_keys()).await.expect("a stream");
    let folder = Arc::new(folder);
    let (mut alone, mut batches, mut singles) = <(Rounds, Rounds, Rounds)>::default();
    let mut subjects = Vec::new();
    // Round 0 is a warm-up, not counted: Java compiles its hot code.
    for round in 0..=rounds {
        let events = samples::events(count);
        subjects.extend(events.iter().map(|event| event.event.subject));
        let (mut a, mut b, mut c) = (None, None, None);
        let mut events = Some(events);
        // Contestants take turns at going first.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => a = Some(driver.events(samples::events(count)).await),
                1 => b = Some(commit(&folder, events.take().expect("taken once"), BATCH, CALLERS).await),
                _ => c = Some(commit(&folder, samples::events(count), 1, IN_FLIGHT).await),
            }
        }
        let [a, b, c] = [a, b, c].map(|rate: Option<Rate>| rate.expect("each has its turn"));
        let name = if round == 0 { "warm-up".to_owned() } else { format!("round {round}") };
        report!(
            "{name}: driver {:.0} events/s, fold in batches {:.0}, one by one {:.0}",
            a.per_second,
            b.per_second,
            c.per_second
        );
        if round > 0 {
            alone.add(a);
            batches.add(b);
            singles.add(c);
        }
    }
    report_medians(
        "events",
        &[
            (&format!("driver alone, {IN_FLIGHT} in flight"), &alone),
            (&format!("fold, batches of {BATCH}, {CALLERS} callers (goal: ratio 0.5)"), &batches),
            (&format!("fold, one by one, {IN_FLIGHT} in flight"), &singles),
        ],
    );
    folder.close().await.expect("a stream that is open");
    subjects
}

/// Commits events in batches of this size.
pub(crate) async fn commit(folder: &Arc<Folder>, events: Vec<StoredEvent>, size: usize, callers: usize) -> Rate {
    let batches: Vec<_> = events.chunks(size).map(|batch| Mutex::new(batch.to_vec())).collect();
    let folder = Arc::clone(folder);
    let batches = Arc::new(batches);
    rate(batches.len(), size, callers, move |n| {
        let (folder, batch) = (Arc::clone(&folder), std::mem::take(&mut *batches[n].lock()));
        async move {
            let outcomes = folder.commit(batch).await.expect("the database answers");
            assert!(outcomes.iter().all(|outcome| outcome.is_accepted()));
        }
    })
    .await
}

/// The driver without the store.
struct DriverAlone {
    driver: BenchDriver,
    region: String,
    stream: i32,
    seconds_to_live: i32,
    number: AtomicU64,
    /// Keeps the stream open.
    _store: Arc<CqlStore>,
}

impl DriverAlone {
    async fn open(options: &CqlOptions) -> Self {
        let store = CqlStore::open(options.clone()).await.expect("the schema exists");
        Self {
            driver: BenchDriver::open(options).await.expect("the schema exists"),
            region: options.region.clone(),
            stream: store.open_stream().await.expect("a stream").0 as i32,
            seconds_to_live: options.retention.as_secs() as i32,
            number: AtomicU64::new(1),
            _store: store,
        }
    }

    async fn events(self: &Arc<Self>, events: Vec<StoredEvent>) -> Rate {
        let rules = Rules::built_in();
        let encoded: Vec<_> = events.into_iter().map(|event| Encoded::new(event, &rules)).collect();
        let (alone, encoded) = (Arc::clone(self), Arc::new(encoded));
        rate(encoded.len(), 1, IN_FLIGHT, move |n| {
            let (alone, encoded) = (Arc::clone(&alone), Arc::clone(&encoded));
            async move { alone.event(&encoded[n]).await }
        })
        .await
    }

    /// Executes every statement of the fold of one event. Decodes nothing but whether the view was set.
    async fn event(&self, encoded: &Encoded) {
        let (driver, number) = (&self.driver, self.number.fetch_add(1, Ordering::Relaxed));
        let (part, number, ttl, stream) = (BenchDriver::part(number), number as i64, self.seconds_to_live, self.stream);
        let subject = &encoded.event.event.subject.as_bytes()[..];
        let (agency, id, revision, hash) = encoded.event.key();
        let (region, revision, hash) = (self.region.as_str(), revision as i64, &hash.0[..]);
        self.read(&driver.event_keys, (subject, BenchDriver::READ_EVENTS)).await;
        self.write(&driver.insert_mark, (region, stream, part, number, &encoded.mark, ttl)).await;
        self.read(&driver.stream, (region, stream)).await;
        self.write(&driver.insert_event, (subject, agency, id, revision, hash, &encoded.event_body)).await;
        self.read(&driver.lookup, (subject,)).await;
        self.read(&driver.events, (subject, BenchDriver::READ_EVENTS)).await;
        let set = self.read(&driver.first_view, (subject, encoded.version, &encoded.view)).await;
        let set = set.first_row::<Row>().expect("an outcome").columns.swap_remove(0);
        assert_eq!(set, Some(CqlValue::Boolean(true)), "the view was not set");
        self.write(&driver.insert_change, (stream, part, number, &encoded.change, ttl)).await;
        self.read(&driver.stream, (region, stream)).await;
    }

    async fn read(&self, statement: &PreparedStatement, values: impl SerializeRow) -> QueryRowsResult {
        let found = self.driver.session.execute_unpaged(statement, values).await.expect("the database answers");
        found.into_rows_result().expect("rows")
    }

    async fn write(&self, statement: &PreparedStatement, values: impl SerializeRow) {
        self.driver.session.execute_unpaged(statement, values).await.expect("the database answers");
    }
}
