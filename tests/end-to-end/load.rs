//! What an agency was told is so is so for everyone who asks afterwards, also while everybody asks at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use yima_harness::{Yima, ago, new_person, now};
use yima_schema::time::{DAY, Time};

use crate::shared;

const THREADS: u64 = 8;
const ROUNDS: u64 = 60;

/// What a display says: its version, and when its newest test was.
fn seen(yima: &Yima, session: &str) -> (u64, Time) {
    let body = yima.display(session).json(200);
    let newest = body["tests"][0]["sampled_at"].as_str().map_or(Time::MIN, |at| at.parse().expect("a time"));
    (body["version"].as_u64().expect("a version"), newest)
}

/// Tests are a millisecond apart, the later the newer, so that the newest one shown tells which are in.
fn test(person: &yima_harness::Person, id: String, at: Time) -> Value {
    person.event(&id, "test_result", &at.to_string(), json!({ "test": "nucleic_acid", "result": "negative" }))
}

#[test]
fn an_accepted_event_is_in_every_answer_that_is_true_of_a_later_moment() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    let begun: Time = ago(DAY).parse().expect("a time");
    let at = |n: u64| Time::from_millis(begun.as_millis() + i64::try_from(n).expect("few"));
    let everybody_s = new_person();
    let shared_session = yima.session_of(&everybody_s);
    let (next, accepted, shown) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let faults: Vec<String> = thread::scope(|scope| {
        let thread = |thread: u64| {
            let (yima, lab, everybody_s, shared_session) = (&yima, &lab, &everybody_s, &shared_session);
            let (next, accepted, shown) = (&next, &accepted, &shown);
            scope.spawn(move || {
                let mine = new_person();
                let session = yima.session_of(&mine);
                let (mut version, mut faults) = (0, Vec::new());
                for round in 0..ROUNDS {
                    assert_eq!(yima.event(lab, &test(&mine, format!("t-{round}"), at(round))), "accepted");
                    let (now_version, newest) = seen(yima, &session);
                    if newest != at(round) || now_version <= version {
                        faults
                            .push(format!("own subject, {thread}/{round}: {version} → {now_version}, newest {newest}"));
                    }
                    version = version.max(now_version);

                    // Whatever anyone was told or shown before we ask is in what we get.
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(yima.event(lab, &test(everybody_s, format!("t-{n}"), at(n))), "accepted");
                    accepted.fetch_max(n, Ordering::SeqCst);
                    let (least, least_version) = (at(accepted.load(Ordering::SeqCst)), shown.load(Ordering::SeqCst));
                    let (now_version, newest) = seen(yima, shared_session);
                    shown.fetch_max(now_version, Ordering::SeqCst);
                    if newest < least || now_version < least_version {
                        faults.push(format!(
                            "shared subject, {thread}/{round}: {least_version} → {now_version}, {newest} < {least}"
                        ));
                    }
                }
                faults
            })
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that ends")).collect()
    });
    assert!(now() > begun);
    let displays = 2 * THREADS * ROUNDS;
    assert!(
        faults.is_empty(),
        "{} of {displays} displays went back or lacked what was accepted:\n{}",
        faults.len(),
        faults[..faults.len().min(5)].join("\n")
    );
}
