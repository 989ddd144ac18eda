//! Look-ups of views per second: one statement executed by the driver alone, against the store, one by one and many in a call.

use std::sync::Arc;

use yima_schema::subject::SubjectId;
use yima_store::ViewReader;
use yima_store::cql::{CqlOptions, CqlStore, Raw};

use crate::figures::{Rounds, rate, report_medians};

const IN_FLIGHT: usize = 128;
/// Subjects of one call, and calls at once.
const MANY: usize = 500;
const CALLERS: usize = 4;

/// Compares, with so many look-ups of each contestant in a round, of these subjects, who all have views.
pub(crate) async fn compare(options: &CqlOptions, rounds: usize, subjects: Vec<SubjectId>, count: usize) {
    let raw = Arc::new(Raw::open(options).await.expect("the schema is there"));
    let store = CqlStore::open(options.clone()).await.expect("the schema is there");
    let subjects = Arc::new(subjects);
    let (mut bare, mut single, mut many) = <(Rounds, Rounds, Rounds)>::default();
    for round in 0..=rounds {
        let (raw, asked) = (Arc::clone(&raw), Arc::clone(&subjects));
        let a = rate(count, 1, IN_FLIGHT, move |n| {
            let (raw, subject) = (Arc::clone(&raw), asked[n % asked.len()]);
            async move {
                let found = raw.session.execute_unpaged(&raw.lookup, (&subject.as_bytes()[..],)).await;
                let rows = found.expect("the database answers").into_rows_result().expect("rows");
                rows.first_row::<(i64, Vec<u8>)>().expect("a view");
            }
        })
        .await;
        let (reader, asked) = (Arc::clone(&store), Arc::clone(&subjects));
        let b = rate(count, 1, IN_FLIGHT, move |n| {
            let (reader, subject) = (Arc::clone(&reader), asked[n % asked.len()]);
            async move {
                reader.lookup(subject).await.expect("the database answers").expect("a view");
            }
        })
        .await;
        let (reader, asked) = (Arc::clone(&store), Arc::clone(&subjects));
        let c = rate(count / MANY, MANY, CALLERS, move |n| {
            let (reader, asked) = (Arc::clone(&reader), Arc::clone(&asked));
            async move {
                let of_call: Vec<_> = (n * MANY..(n + 1) * MANY).map(|n| asked[n % asked.len()]).collect();
                let found = reader.lookup_many(&of_call).await.expect("the database answers");
                assert!(found.iter().all(Option::is_some));
            }
        })
        .await;
        let name = if round == 0 { "warm-up".to_owned() } else { format!("round {round}") };
        let [x, y, z] = [a, b, c].map(|rate| rate.per_second);
        report!("{name}: driver {x:.0} look-ups/s, lookup {y:.0}, lookup_many {z:.0}");
        if round > 0 {
            bare.add(a);
            single.add(b);
            many.add(c);
        }
    }
    report_medians(
        "look-ups",
        &[
            (&format!("driver alone, {IN_FLIGHT} in flight"), &bare),
            (&format!("lookup, {IN_FLIGHT} in flight (goal: ratio 0.8)"), &single),
            (&format!("lookup_many of {MANY}, {CALLERS} callers"), &many),
        ],
    );
}
