//! Read after write: an acknowledged event is in every later answer, also under concurrent reads and writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use yima_harness::{Yima, ago, new_person, now};
use yima_schema::time::{DAY, Time};

use crate::shared;

const THREADS: u64 = 8;
const ROUNDS: u64 = 60;

/// A display's version, and the time of its newest test.
fn shown(yima: &Yima, session: &str) -> (u64, Time) {
    let body = yima.display(session).json(200);
    let newest = body["tests"][0]["sampled_at"].as_str().map_or(Time::MIN, |at| at.parse().expect("a time"));
    (body["version"].as_u64().expect("a version"), newest)
}

/// Tests are a millisecond apart, later ones newer, so that the newest one in a display
/// identifies the events of its view.
fn test(person: &yima_harness::Person, id: String, at: Time) -> Value {
    person.event(&id, "test_result", &at.to_string(), json!({ "test": "nucleic_acid", "result": "negative" }))
}

#[test]
fn an_accepted_event_is_in_every_answer_of_a_later_moment() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    let first: Time = ago(DAY).parse().expect("a time");
    let at = |n: u64| Time::from_millis(first.as_millis() + i64::try_from(n).expect("few"));
    let shared_person = new_person();
    let shared_session = yima.session_of(&shared_person);
    let (next, accepted, newest_version) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let violations: Vec<String> = thread::scope(|scope| {
        let thread = |thread: u64| {
            let (yima, lab, shared_person, shared_session) = (&yima, &lab, &shared_person, &shared_session);
            let (next, accepted, newest_version) = (&next, &accepted, &newest_version);
            scope.spawn(move || {
                let own_person = new_person();
                let session = yima.session_of(&own_person);
                let (mut version, mut violations) = (0, Vec::new());
                for round in 0..ROUNDS {
                    assert_eq!(yima.event(lab, &test(&own_person, format!("t-{round}"), at(round))), "accepted");
                    let (now_version, newest) = shown(yima, &session);
                    if newest != at(round) || now_version <= version {
                        violations
                            .push(format!("own subject, {thread}/{round}: {version} → {now_version}, newest {newest}"));
                    }
                    version = version.max(now_version);

                    // A display includes all that any thread had an acknowledgement or a display
                    // of before it was requested.
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(yima.event(lab, &test(shared_person, format!("t-{n}"), at(n))), "accepted");
                    accepted.fetch_max(n, Ordering::SeqCst);
                    let least = at(accepted.load(Ordering::SeqCst));
                    let least_version = newest_version.load(Ordering::SeqCst);
                    let (now_version, newest) = shown(yima, shared_session);
                    newest_version.fetch_max(now_version, Ordering::SeqCst);
                    if newest < least || now_version < least_version {
                        violations.push(format!(
                            "shared subject, {thread}/{round}: {least_version} → {now_version}, {newest} < {least}"
                        ));
                    }
                }
                violations
            })
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that ends")).collect()
    });
    assert!(now() > first);
    let displays = 2 * THREADS * ROUNDS;
    assert!(
        violations.is_empty(),
        "{} of {displays} displays went back or lacked an accepted event:\n{}",
        violations.len(),
        violations[..violations.len().min(5)].join("\n")
    );
}
