//! The benchmark of the writer: `bench-events [ROUNDS]`. In rounds, durable events per second through NDJSON beside the
//! same rows appended to a bare store; then the time from `accepted` until a display shows the event; then time and
//! memory of a first start.

#[macro_use]
extern crate yima_harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use yima_harness::samples::{negative_test, subject};
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::event::StoredEvent;
use yima_store::WriterStore;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

const CLIENTS: usize = 4;
/// Rows of one upload.
const ROWS: usize = 5_000;
/// Uploads of each client in a round.
const UPLOADS: usize = 2;
const ROUND_ROWS: usize = CLIENTS * ROWS * UPLOADS;

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(5, |n| n.parse().expect("ROUNDS: a number"));
    let yima = Yima::start(
        Options::default().population(100_000).unlimited().env("YIMA_WRITER__EVENTS__REQUESTS", 10_000_000),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        ours.push(through_ndjson(&yima, round));
        bare.push(runtime.block_on(into_a_bare_store()));
        report!("round {round}: NDJSON {:.0} events/s, bare store {:.0} rows/s", ours[round], bare[round]);
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    report!("median: NDJSON {ours:.0} events/s, bare store {bare:.0} rows/s, ratio {:.2}", ours / bare);
    visible(&yima);
    drop(yima);
    for people in [100_000, 1_000_000] {
        first_start(people);
    }
}

/// Events per second of `CLIENTS` that upload at once; every event is `accepted`.
fn through_ndjson(yima: &Yima, round: usize) -> f64 {
    let uploads: Vec<Vec<Vec<u8>>> = (0..CLIENTS).map(|_| (0..UPLOADS).map(|_| upload(round)).collect()).collect();
    let tokens: Vec<String> = (0..CLIENTS).map(|n| yima.agency_token(&format!("lab-{n}"))).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (uploads, token) in uploads.iter().zip(&tokens) {
            scope.spawn(move || {
                for body in uploads {
                    let rows = yima.push(token, "application/x-ndjson", body).rows();
                    assert!(rows.len() == ROWS && rows.iter().all(|row| row["status"] == "accepted"));
                }
            });
        }
    });
    ROUND_ROWS as f64 / start.elapsed().as_secs_f64()
}

fn upload(round: usize) -> Vec<u8> {
    let rows = (0..ROWS).map(|n| new_person().test(&format!("bench-{round}-{n}"), "negative", Duration::from_secs(60)));
    rows.map(|row| format!("{row}\n")).collect::<String>().into_bytes()
}

/// Rows per second: as many rows of the same shape, appended in batches of the writer's size by as many callers.
async fn into_a_bare_store() -> f64 {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = EmbeddedStore::open(dir.path(), EmbeddedOptions::new("bench", [0; 16])).expect("an empty directory");
    let batches = (0..CLIENTS).map(|client| (0..ROWS * UPLOADS / 2_000).map(|n| rows(client, n)).collect::<Vec<_>>());
    let batches: Vec<_> = batches.collect();
    let start = Instant::now();
    let callers = batches.into_iter().map(|batches| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for batch in batches {
                store.append(batch).await.expect("the disk has room");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("callers do not panic");
    }
    ROUND_ROWS as f64 / start.elapsed().as_secs_f64()
}

fn rows(client: usize, batch: usize) -> Vec<StoredEvent> {
    let row = |n: usize| {
        let subject = subject((client << 32 | batch << 16 | n) as u64);
        negative_test(subject, format!("lab-{client}"), format!("bench-{batch}-{n}"))
    };
    (0..2_000).map(row).collect()
}

/// Measures from sending an event to `accepted`, and from `accepted` to the first display that shows it.
fn visible(yima: &Yima) {
    let agency = yima.agency_token("lab-0");
    let (mut accepted, mut shown) = (Vec::new(), Vec::new());
    let person = new_person();
    let session = yima.session_of(&person);
    for n in 0..1_000 {
        let id = format!("visible-{n}");
        let result = if n % 2 == 0 { "positive" } else { "negative" };
        let event = person.event(
            &id,
            "test_result",
            &ago(Duration::ZERO),
            serde_json::json!({"test": "antigen", "result": result}),
        );
        let sent = Instant::now();
        assert_eq!(yima.event(&agency, &event), "accepted");
        accepted.push(sent.elapsed().as_secs_f64() * 1e3);
        let answered = Instant::now();
        while newest_result(yima, &session).as_str() != Some(result) {}
        shown.push(answered.elapsed().as_secs_f64() * 1e3);
    }
    for (what, times) in [("sent → accepted", &mut accepted), ("accepted → visible", &mut shown)] {
        times.sort_by(f64::total_cmp);
        report!("{what}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms", times[500], times[990], times[999]);
    }
}

fn newest_result(yima: &Yima, session: &str) -> Value {
    yima.display_now(session).json(200)["tests"][0]["result"].clone()
}

/// Measures time and memory of a first start.
fn first_start(people: u64) {
    let start = Instant::now();
    let yima = Yima::start(Options::default().population(people));
    let seconds = start.elapsed().as_secs_f64();
    let metrics = yima.http().get(&format!("{}/metrics", yima.admin_url()), "");
    let resident =
        metrics.text().lines().find_map(|l| l.strip_prefix("process_resident_memory_bytes ")).unwrap_or("?").to_owned();
    report!("{people} people: ready after {seconds:.1} s, {resident} bytes resident");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
