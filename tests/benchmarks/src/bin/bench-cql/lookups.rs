//! Look-ups of views per second: one statement executed by the driver alone, against the store, one by one and many in a call.

use std::sync::Arc;

use yima_schema::subject::SubjectId;
use yima_store::ViewReader;
use yima_store::cql::{BenchDriver, CqlOptions, CqlStore};

use crate::figures::{Rate, Rounds, rate, report_medians};

const IN_FLIGHT: usize = 128;
/// Subjects of one call, and calls at once.
const MANY: usize = 500;
const CALLERS: usize = 4;

/// Compares, with so many look-ups of each contestant in a round, of these subjects, who all have views.
pub(crate) async fn compare(options: &CqlOptions, rounds: usize, subjects: Vec<SubjectId>, count: usize) {
    let raw = Arc::new(BenchDriver::open(options).await.expect("the schema is there"));
    let store = CqlStore::open(options.clone()).await.expect("the schema is there");
    let subjects: Arc<[SubjectId]> = subjects.into();
    let mut contestants = <[Rounds; 3]>::default();
    // One more, which counts for nothing.
    for round in 0..=rounds {
        let mut rates = [0.0; 3];
        // Each goes first in turn.
        for turn in 0..3 {
            let contestant = (round + turn) % 3;
            let subjects = Arc::clone(&subjects);
            let rate = match contestant {
                0 => alone(Arc::clone(&raw), subjects, count).await,
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
        report!("{name}: driver {x:.0} look-ups/s, lookup {y:.0}, lookup_many {z:.0}");
    }
    let [bare, single, many] = &contestants;
    report_medians(
        "look-ups",
        &[
            (&format!("driver alone, {IN_FLIGHT} in flight"), bare),
            (&format!("lookup, {IN_FLIGHT} in flight (goal: ratio 0.8)"), single),
            (&format!("lookup_many of {MANY}, {CALLERS} callers"), many),
        ],
    );
}

async fn alone(raw: Arc<BenchDriver>, subjects: Arc<[SubjectId]>, count: usize) -> Rate {
    rate(count, 1, IN_FLIGHT, move |n| {
        let (raw, subject) = (Arc::clone(&raw), subjects[n % subjects.len()]);
        async move {
            let found = raw.session.execute_unpaged(&raw.lookup, (&subject.as_bytes()[..],)).await;
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
        let asked: Vec<_> = (n * MANY..(n + 1) * MANY).map(|n| subjects[n % subjects.len()]).collect();
        async move {
            let found = store.lookup_many(&asked).await.expect("the database answers");
            assert!(found.iter().all(Option::is_some));
        }
    })
    .await
}
