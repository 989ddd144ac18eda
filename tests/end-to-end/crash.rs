//! `kill -9` at random moments, again and again: nothing acknowledged is lost, and the store stays consistent.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use yima_harness::{Options, Person, Yima, new_person, now};
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::{DAY, Time};
use yima_schema::view::{Version, View};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{EventReader, Feed, ViewReader, WriterStore};

const ROUNDS: usize = 6;
const BATCH_THREADS: usize = 3;
const SINGLE_THREADS: usize = 3;
const PEOPLE_EACH: usize = 20;

/// A thread's people, and their acknowledged events.
struct Sender {
    people: Vec<Person>,
    acknowledged: Vec<Value>,
    in_batches: bool,
}

impl Sender {
    fn new(in_batches: bool) -> Self {
        Self { people: (0..PEOPLE_EACH).map(|_| new_person()).collect(), acknowledged: Vec::new(), in_batches }
    }

    /// A test result of every person, each later than all before.
    fn events(&self, clock: &AtomicI64) -> Vec<Value> {
        let event = |person: &Person| {
            let n = clock.fetch_add(1, Ordering::Relaxed);
            let data = json!({ "test": "nucleic_acid", "result": if n % 7 == 0 { "positive" } else { "negative" } });
            person.event(&format!("t-{n}"), "test_result", &Time::from_millis(n).to_string(), data)
        };
        self.people.iter().map(event).collect()
    }

    /// Sends until a request gets no answer.
    fn send(&mut self, yima: &Remote, clock: &AtomicI64) {
        loop {
            let events = self.events(clock);
            let bodies: Vec<&[Value]> = if self.in_batches { vec![&events] } else { events.chunks(1).collect() };
            for rows in bodies {
                let Some(answers) = yima.push(rows) else { return };
                assert_eq!(answers.len(), rows.len());
                for (answer, event) in answers.iter().zip(rows) {
                    assert_eq!((&answer["status"], &answer["id"]), (&json!("accepted"), &event["id"]));
                    self.acknowledged.push(event.clone());
                }
            }
        }
    }
}

/// An instance that may be killed at any moment.
struct Remote {
    url: String,
    token: String,
    http: yima_harness::Http,
}

impl Remote {
    /// Sends rows; returns their answers, or `None` without a whole response.
    fn push(&self, rows: &[Value]) -> Option<Vec<Value>> {
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.http.push(&self.url, &self.token, "application/x-ndjson", body.as_bytes()).ok().map(|reply| reply.rows())
    }
}

#[test]
fn killing_loses_nothing_acknowledged_and_leaves_a_consistent_store() {
    let by_time = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.subsec_nanos().into());
    let seed = std::env::var("YIMA_TEST_SEED")
        .map_or_else(|_| by_time(), |seed| seed.parse().expect("YIMA_TEST_SEED: a number"));
    eprintln!("YIMA_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut yima = Yima::start(Options::default().unlimited().population(100));
    let lab = yima.agency_token("lab-7");
    let clock = AtomicI64::new(now().minus(DAY).as_millis());
    let mut senders: Vec<Sender> =
        (0..BATCH_THREADS + SINGLE_THREADS).map(|n| Sender::new(n < BATCH_THREADS)).collect();
    let sessions: HashMap<String, String> = senders
        .iter()
        .flat_map(|s| &s.people)
        .map(|person| (person.document.clone(), yima.session_of(person)))
        .collect();
    for _ in 0..ROUNDS {
        let remote =
            Remote { url: format!("{}/v1/events", yima.writer_url()), token: lab.clone(), http: yima.http().clone() };
        let before: Vec<usize> = senders.iter().map(|sender| sender.acknowledged.len()).collect();
        thread::scope(|scope| {
            for sender in &mut senders {
                scope.spawn(|| sender.send(&remote, &clock));
            }
            thread::sleep(Duration::from_millis(random.random_range(100..1_000)));
            yima.kill9();
        });
        yima.restart();
        for (sender, before) in senders.iter().zip(before) {
            let new = &sender.acknowledged[before..];
            assert_kept(&yima, &lab, &sessions, new);
        }
    }
    let acknowledged: Vec<Value> = senders.into_iter().flat_map(|sender| sender.acknowledged).collect();
    eprintln!("{} events were acknowledged in {ROUNDS} rounds", acknowledged.len());
    assert!(acknowledged.len() > 100, "this machine is too slow for this test to be of use");
    for rows in acknowledged.chunks(1_000) {
        assert!(yima.rows(&lab, rows).iter().all(|answer| answer["status"] == "duplicate"));
    }
    assert_eq!(yima.stop().code(), Some(0), "{}", yima.stderr());
    assert_consistent(&yima.data_dir(), &acknowledged);
}

/// Every acknowledged event is a duplicate, and the newest of each person is displayed: at most one later event
/// can have lost its answer.
fn assert_kept(yima: &Yima, lab: &str, sessions: &HashMap<String, String>, acknowledged: &[Value]) {
    let document = |event: &Value| event["subject"]["document_number"].as_str().unwrap_or_default().to_owned();
    let newest: HashMap<String, &Value> = acknowledged.iter().map(|event| (document(event), event)).collect();
    for (document, event) in newest {
        let shown = yima.display(&sessions[&document]).json(200);
        let tests = shown["tests"].as_array().expect("tests");
        assert!(tests.iter().any(|test| test["sampled_at"] == event["occurred_at"]), "{event} is not in {shown}");
    }
    for rows in acknowledged.chunks(1_000) {
        let answers = yima.rows(lab, rows);
        let lost = answers.iter().zip(rows).find(|(answer, _)| answer["status"] != "duplicate");
        assert!(lost.is_none(), "{lost:?}");
    }
}

/// Opens the store: no mark and no open stream is left, streams have no gaps, and each view is the newest change of its
/// subject and the fold of its events, which include all acknowledged ones.
#[tokio::main(flavor = "current_thread")]
async fn assert_consistent(data_dir: &Path, acknowledged: &[Value]) {
    let secret = fs::read(data_dir.join("keys/pseudonym.key")).expect("the key").try_into().expect("32 bytes");
    let (key, rules) = (PseudonymKey::from_bytes(&secret), Rules::built_in());
    let store = EmbeddedStore::open(&data_dir.join("store"), EmbeddedOptions::new("local", key.fingerprint()))
        .expect("a store");
    assert!(store.unsettled().await.expect("marks").is_empty(), "a mark is left");

    let mut published = HashMap::new();
    for stream in store.registry().await.expect("the registry").streams {
        assert!(!stream.open, "{stream:?}");
        let rows = store.changes(stream.id, 0, usize::MAX).await.expect("changes");
        let rows: Vec<_> = rows.into_iter().map(|(number, change)| (number, change.expect("a change"))).collect();
        let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=stream.last).collect::<Vec<_>>(), "{stream:?} has gaps");
        for (_, change) in rows {
            let newest = published.entry(change.subject).or_insert((Version::ABSENT, change.view.clone()));
            if change.version >= newest.0 {
                *newest = (change.version, change.view);
            }
        }
    }

    let mut by_document: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in acknowledged {
        by_document.entry(event["subject"]["document_number"].as_str().expect("a number")).or_default().push(event);
    }
    for (document, acknowledged) in by_document {
        let subject = key.subject(&Document::new(DocumentType::CnResidentId, document).expect("a valid number"));
        let events = store.events(&[subject]).await.expect("events").remove(0);
        let found = store.lookup(subject).await.expect("a lookup").expect("a view");
        let (view, stored) = (derive(&events, &rules), View::decode(&found.view).expect("a view"));
        assert_eq!(stored.events, view.events, "the view's digest is not that of its events");
        assert!(found.view == view.encode(), "the view does not derive from its events");
        assert!(published[&subject] == (found.version, found.view), "the newest change is not the view");
        for event in acknowledged {
            let is_this = |id: &str, at: Time| event["id"] == id && event["occurred_at"] == at.to_string();
            assert!(
                events.iter().any(|e| is_this(&e.event.id, e.event.occurred_at)),
                "{event} was acknowledged and is not stored"
            );
        }
    }
}
