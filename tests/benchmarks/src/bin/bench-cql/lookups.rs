//! Lookups of views per second: the store, one by one and many in a call, beside the driver alone, which executes the
//! statement.

use std::sync::Arc;

use yima_schema::subject::SubjectId;
use yima_store::ViewReader;
use yima_store::cql::{BenchDriver, CqlOptions, CqlStore};

use crate::figures::{Rate, Rounds, rate, report_medians};

const IN_FLIGHT: usize = 128;
/// Subjects of one call.
const MANY: usize = 500;
/// Calls at once.
const CALLERS: usize = 4;

/// Compares the contestants, with `count` lookups of each in a round; every subject has a view.
pub(crate) async fn compare(options: &CqlOptions, rounds: usize, subjects: Vec<SubjectId>, count: usize) {
    let driver = Arc::new(BenchDriver::open(options).await.expect("the schema exists"));
    let store = CqlStore::open(options.clone()).await.expect("the schema exists");
    let subjects: Arc<[SubjectId]> = subjects.into();
    let mut contestants = <[Rounds; 3]>::default();
    // Round 0 is a warm-up, not counted.
    for round in 0..=rounds {
        let mut rates = [0.0; 3];
        // Contestants take turns at going first.
        for turn in 0..3 {
            let contestant = (round + turn) % 3;
            let subjects = Arc::clone(&subjects);
            let rate = match contestant {
                0 => alone(Arc::clone(&driver), subjects, count).await,
                1 => one_by_one(Arc::clone(&store), subjects, count).await,
                _ => many(Arc::clone(&store), subjects, count).await,
            };
            rates[contestant] = rate.per_second;
            if round > 0 {
                contestants[contestant].add(rate);
            }
        }
        let name = if round == 0 { "warm-up".to_owned() } else { format!("round {round}") };
        let [x, y, z] = rates;
        report!("{name}: driver {x:.0} lookups/s, lookup {y:.0}, lookup_many {z:.0}");
    }
    let [alone, single, many] = &contestants;
    report_medians(
        "lookups",
        &[
            (&format!("driver alone, {IN_FLIGHT} in flight"), alone),
            (&format!("lookup, {IN_FLIGHT} in flight (goal: ratio 0.8)"), single),
            (&format!("lookup_many of {MANY}, {CALLERS} callers"), many),
        ],
    );
}

async fn alone(driver: Arc<BenchDriver>, subjects: Arc<[SubjectId]>, count: usize) -> Rate {
    rate(count, 1, IN_FLIGHT, move |n| {
        let (driver, subject) = (Arc::clone(&driver), subjects[n % subjects.len()]);
        async move {
            let found = driver.session.execute_unpaged(&driver.lookup, (&subject.as_bytes()[..],)).await;
            let rows = found.expect("the database answers").into_rows_result().expect("rows");
            rows.first_row::<(i64, Vec<u8>)>().expect("a view");
        }
    })
    .await
}

async fn one_by_one(store: Arc<CqlStore>, subjects: Arc<[SubjectId]>, count: usize) -> Rate {
    rate(count, 1, IN_FLIGHT, move |n| {
        let (store, subject) = (Arc::clone(&store), subjects[n % subjects.len()]);
        async move {
            store.lookup(subject).await.expect("the database answers").expect("a view");
        }
    })
    .await
}

async fn many(store: Arc<CqlStore>, subjects: Arc<[SubjectId]>, count: usize) -> Rate {
    rate(count / MANY, MANY, CALLERS, move |n| {
        let store = Arc::clone(&store);
        let subjects: Vec<_> = (n * MANY..(n + 1) * MANY).map(|n| subjects[n % subjects.len()]).collect();
        async move {
            let found = store.lookup_many(&subjects).await.expect("the database answers");
            assert!(found.iter().all(Option::is_some));
        }
    })
    .await
}
