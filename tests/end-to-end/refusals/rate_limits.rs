//! Rate limits: a client over its limit gets 429 with the time to retry, and others are not affected.

use serde_json::json;
use yima_harness::{Http, Options, Reply, Yima, new_person};
use yima_schema::time::HOUR;

use super::problem;

/// Repeats a request until it is refused; returns the refusal and the number of requests before it.
fn until_refused(most: usize, request: impl Fn() -> Reply) -> (Reply, usize) {
    for answered in 0..most {
        let reply = request();
        if reply.status != 200 {
            return (reply, answered);
        }
    }
    panic!("not refused after {most} requests");
}

#[test]
fn a_citizen_over_the_default_limit_gets_429_with_retry_after_in_every_session() {
    let yima = Yima::start(Options::default());
    let person = new_person();
    let (session, other_session) = (yima.session_of(&person), yima.session_of(&new_person()));
    let (guard, http, read) = (yima.checkpoint_session(), Http::default(), yima.read_url());
    let scan = || {
        http.post(&format!("{read}/v1/scan"), &guard, "application/json", json!({ "code": "x" }).to_string().as_bytes())
    };
    let display = || yima.display_now(&session);
    let code = || http.get(&format!("{read}/v1/code"), &session);
    // On a slow machine the limit refills a little between the requests.
    let refusals = [
        ("code", 6, 6, 10, until_refused(60, code)),
        ("display", 10, 100, 1, until_refused(2_000, display)),
        ("scan", 50, 500, 1, until_refused(5_000, scan)),
    ];
    for &(name, least, most, longest, (ref reply, answered)) in &refusals {
        problem(reply, 429, "too-many-requests");
        assert!((least..=most).contains(&answered), "{name}: refused after {answered}");
        let retry_after: u64 = reply.header("retry-after").parse().expect("Retry-After in seconds");
        assert!((1..=longest).contains(&retry_after), "{name}: {retry_after}");
    }
    let next_session = yima.session_of(&person);
    problem(&http.get(&format!("{read}/v1/code"), &next_session), 429, "too-many-requests");
    assert_eq!(yima.display_now(&other_session).status, 200, "another citizen was limited");
    assert_eq!(http.get(&format!("{read}/v1/code"), &other_session).status, 200);
    for (name, .., (reply, _)) in refusals {
        assert!(
            reply.header("ratelimit").starts_with(&format!("\"{name}\";r=0")),
            "{name}: `{}`",
            reply.header("ratelimit")
        );
        assert!(reply.header("ratelimit-policy").starts_with(&format!("\"{name}\";q=")), "{name}");
    }
}

#[test]
fn invalid_requests_count_against_the_quota_as_valid_ones_do() {
    let options =
        Options::default().env("YIMA_WRITER__EVENTS__REQUESTS", 5).env("YIMA_WRITER__EVENTS__WINDOW_S", 3_600);
    let yima = Yima::start(options);
    let [careless, busy] = ["lab-7", "lab-8"].map(|name| yima.agency_token(name));
    let requests = [
        ("application/json", "{", 400),
        ("application/x-ndjson", "", 400),
        ("text/csv", "id,kind\n1,2\n", 400),
        ("application/fhir+json", "{}", 400),
        ("text/plain", "", 415),
        ("application/json", "{", 429),
    ];
    for (content_type, body, status) in requests {
        let reply = yima.push(&careless, content_type, body.as_bytes());
        assert_eq!(reply.status, status, "{content_type}: {}", reply.text());
    }
    // A batch larger than the whole quota passes when none of the quota is used.
    let events: Vec<_> = (0..7).map(|n| new_person().test(&format!("t-{n}"), "negative", HOUR)).collect();
    assert!(yima.rows(&busy, &events).iter().all(|row| row["status"] == "accepted"));
    let refused = yima.push(&busy, "application/json", events[0].to_string().as_bytes());
    problem(&refused, 429, "too-many-requests");
}

#[test]
fn anonymous_sign_ins_do_not_make_real_ones_fail() {
    let options = Options::default()
        .env("YIMA_READ_API__LIMITS__SIGN_IN__REQUESTS", 2)
        .env("YIMA_READ_API__LIMITS__SIGN_IN__WINDOW_S", 3_600);
    let yima = Yima::start(options);
    let sign_in = |token: &str| yima.http().post(&format!("{}/v1/sessions", yima.read_url()), token, "", b"");
    let real = yima.token(&["checkpoint"]);
    let (signed, signature) = real.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let unknown_key = format!("eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.{signature}");
    for _ in 0..20 {
        for token in ["x", "a.b.c", &unknown_key, &forged] {
            problem(&sign_in(token), 401, "unauthenticated");
        }
    }
    assert_eq!([(); 2].map(|()| sign_in(&real).status), [200; 2]);
    problem(&sign_in(&real), 503, "waiting");
}
