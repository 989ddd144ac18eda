//! The wall clock of a running process jumps ahead and back: the jump is detected, and no answer has
//! an `as_of` in the future.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Options, Yima, ago, faketime, new_person, now, until};
use yima_schema::time::{HOUR, Time};

/// Time for a jump to be detected; the process compares its clocks once a second.
const DETECTED: Duration = Duration::from_secs(30);
/// An answer's `as_of` may be later than its request by the request's duration and `max_lag`.
const AHEAD: Duration = Duration::from_secs(4);

/// The wall clock of a process, set by the test.
struct Clock(PathBuf);

impl Clock {
    /// Sets the clock atomically, since the process may read it at any moment.
    fn set(&self, offset: &str) {
        let part = self.0.with_extension("part");
        fs::write(&part, offset).expect("a file");
        fs::rename(part, &self.0).expect("a file");
    }

    /// Sets the clock and waits until the process has counted one jump in this direction.
    fn jump(&self, yima: &Yima, offset: &str, direction: &str) {
        let count = || yima.metric("clock_jumps_total", &[&format!("direction=\"{direction}\"")]);
        let before = count();
        self.set(offset);
        until(&format!("detection of the jump to {offset}"), DETECTED, || count() > before);
        assert_eq!(count(), before + 1.0, "a jump was counted twice");
    }
}

fn start() -> (Clock, Yima) {
    let options = Options::default().unlimited();
    let clock = Clock(options.directory().join("clock"));
    clock.set("+0");
    let options = options
        .env("LD_PRELOAD", faketime())
        .env("FAKETIME_TIMESTAMP_FILE", clock.0.display())
        .env("FAKETIME_NO_CACHE", 1)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", 1)
        .env("FAKETIME_FORCE_MONOTONIC_FIX", 0);
    (clock, Yima::start(options))
}

/// Requests displays without a pause for at least a second: all succeed, none has an `as_of` more than `by` beyond this
/// clock, and the last one is true of a moment after `since`.
#[track_caller]
fn assert_as_of_at_most(yima: &Yima, session: &str, by: Duration, since: Time) {
    let started = Instant::now();
    loop {
        let reply = yima.display_now(session);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let as_of: Time = reply.header("yima-as-of").parse().expect("a time");
        assert!(as_of <= now().plus(by + AHEAD), "{as_of} is in the future");
        if as_of > since && started.elapsed() > Duration::from_secs(1) {
            return;
        }
        assert!(started.elapsed() < DETECTED, "`as_of` stays at {as_of}");
    }
}

#[test]
fn clock_jumps_are_detected_and_no_answer_is_of_the_future() {
    let (clock, yima) = start();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR * 3));
    let (session, guard) = (yima.session_of(&person), yima.checkpoint_session());
    let code = yima.code(&session);

    // An hour ahead: earlier codes are expired, sessions stay valid, answers follow the clock.
    clock.jump(&yima, "+3600", "ahead");
    assert_as_of_at_most(&yima, &session, HOUR, now());
    assert_eq!(yima.scan(&guard, &code)["reason"], "expired");
    let early = yima.code(&session);
    let token = yima.agency_token("lab-7");
    assert_eq!(yima.event(&token, &person.test("t-2", "negative", HOUR * 2)), "accepted");

    // Back again: proofs from the hour ahead are void.
    clock.jump(&yima, "+0", "back");
    let back = now();
    assert_as_of_at_most(&yima, &session, Duration::ZERO, back);
    assert_eq!(scan_reason(&yima, &guard, &early), "not_yet_valid");
    assert_eq!(yima.event(&lab, &person.test("t-3", "positive", HOUR)), "accepted");
    until("an event after the jump", DETECTED, || yima.display_now(&session).json(200)["colour"]["code"] == "red");

    // An hour back: an event of the true present is in the future, and refused.
    clock.jump(&yima, "-3600", "back");
    let token = yima.agency_token("lab-7");
    let refused =
        yima.push(&token, "application/json", person.test("t-4", "negative", Duration::ZERO).to_string().as_bytes());
    assert_eq!(refused.json(400)["errors"][0]["pointer"], "/occurred_at");
    assert_as_of_at_most(&yima, &session, Duration::ZERO, back.minus(HOUR));

    // Past the lifetime of sessions, and back.
    clock.jump(&yima, "+31d", "ahead");
    assert_eq!(yima.display_now(&session).status, 401);
    clock.jump(&yima, "+0", "back");
    assert_as_of_at_most(&yima, &session, Duration::ZERO, now());
    let data = json!({ "test": "nucleic_acid", "result": "negative" });
    assert_eq!(yima.event(&lab, &person.event("t-5", "test_result", &ago(Duration::from_secs(1)), data)), "accepted");
    assert!(yima.stderr().contains("the clock jumped"), "{}", yima.stderr());
    assert!(yima.metric("clock_offset_seconds", &[]).abs() < 1.0);
}

/// The reason of one scan, whatever its `as_of`.
fn scan_reason(yima: &Yima, guard: &str, code: &str) -> String {
    let body = json!({ "code": code }).to_string();
    let reply = yima.http().post(&format!("{}/v1/scan", yima.read_url()), guard, "application/json", body.as_bytes());
    reply.json(200)["reason"].as_str().unwrap_or_default().to_owned()
}
