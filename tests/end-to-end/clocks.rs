//! The wall clock of a process that runs jumps ahead and back: it is noticed, and no answer claims a moment that has not come.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Options, Yima, ago, faketime, new_person, now, until};
use yima_schema::time::{HOUR, Time};

/// For what is looked at once a second.
const NOTICED: Duration = Duration::from_secs(30);
/// An answer may be ahead of the moment at which it was asked for by what it took, and by `max_lag`.
const AHEAD: Duration = Duration::from_secs(4);

/// A clock that a test sets.
struct Clock(PathBuf);

impl Clock {
    /// In one step, as a reader may look at any moment.
    fn set(&self, offset: &str) {
        let part = self.0.with_extension("part");
        fs::write(&part, offset).expect("a file");
        fs::rename(part, &self.0).expect("a file");
    }

    /// Sets it, and waits until that was noticed.
    fn jump(&self, yima: &Yima, offset: &str, direction: &str) {
        let count = || yima.metric("clock_jumps_total", &[&format!("direction=\"{direction}\"")]);
        let before = count();
        self.set(offset);
        until(&format!("a jump to {offset} noticed"), NOTICED, || count() > before);
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

/// Asks for a while; every answer is there, and none claims more than `by` beyond our own clock. The last one is of a moment after `since`.
#[track_caller]
fn claims_at_most(yima: &Yima, session: &str, by: Duration, since: Time) {
    let begun = Instant::now();
    loop {
        let reply = yima.display_now(session);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let as_of: Time = reply.header("yima-as-of").parse().expect("a time");
        assert!(as_of <= now().plus(by + AHEAD), "{as_of} has not come");
        if as_of > since && begun.elapsed() > Duration::from_secs(1) {
            return;
        }
        assert!(begun.elapsed() < NOTICED, "answers stand still at {as_of}");
    }
}

#[test]
fn jumps_are_noticed_and_nothing_claims_what_has_not_come() {
    let (clock, yima) = start();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR * 3));
    let (session, guard) = (yima.session_of(&person), yima.checkpoint_session());
    let code = yima.code(&session);

    // An hour ahead: codes of before are out of date, sessions go on, answers follow the clock.
    clock.jump(&yima, "+3600", "ahead");
    claims_at_most(&yima, &session, HOUR, now());
    assert_eq!(yima.scan(&guard, &code)["reason"], "expired");
    let early = yima.code(&session);
    let token = yima.agency_token("lab-7");
    assert_eq!(yima.event(&token, &person.test("t-2", "negative", HOUR * 2)), "accepted");

    // Back again: what was learned in the hour that has not come proves nothing.
    clock.jump(&yima, "+0", "back");
    let back = now();
    claims_at_most(&yima, &session, Duration::ZERO, back);
    assert_eq!(verdict(&yima, &guard, &early), "not_yet_valid");
    assert_eq!(yima.event(&lab, &person.test("t-3", "positive", HOUR)), "accepted");
    until("an event after the jump", NOTICED, || yima.display_now(&session).json(200)["colour"]["code"] == "red");

    // An hour back: an event of now is of the future, and said to be.
    clock.jump(&yima, "-3600", "back");
    let token = yima.agency_token("lab-7");
    let refused =
        yima.push(&token, "application/json", person.test("t-4", "negative", Duration::ZERO).to_string().as_bytes());
    assert_eq!(refused.json(400)["errors"][0]["pointer"], "/occurred_at");
    claims_at_most(&yima, &session, Duration::ZERO, back.minus(HOUR));

    // Beyond the life of sessions, and back in it.
    clock.jump(&yima, "+31d", "ahead");
    assert_eq!(yima.display_now(&session).status, 401);
    clock.jump(&yima, "+0", "back");
    claims_at_most(&yima, &session, Duration::ZERO, now());
    let data = json!({ "test": "nucleic_acid", "result": "negative" });
    assert_eq!(yima.event(&lab, &person.event("t-5", "test_result", &ago(Duration::from_secs(1)), data)), "accepted");
    assert!(yima.stderr().contains("the clock jumped"), "{}", yima.stderr());
    assert!(yima.metric("clock_offset_seconds", &[]).abs() < 1.0);
}

/// The reason that a scanner is given, whatever moment it is of.
fn verdict(yima: &Yima, guard: &str, code: &str) -> String {
    let body = json!({ "code": code }).to_string();
    let reply = yima.http().post(&format!("{}/v1/scan", yima.read_url()), guard, "application/json", body.as_bytes());
    reply.json(200)["reason"].as_str().unwrap_or_default().to_owned()
}
