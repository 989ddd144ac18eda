//! Refusals: each gets a problem document (RFC 9457) that names the error, and no internals. One file for
//! each thing that is refused.

mod credentials;
mod event_fields;
mod event_rows;
mod hostile_clients;
mod rate_limits;
mod request_bodies;
mod routes;

use serde_json::{Value, json};
use yima_harness::{Reply, Yima, new_person};
use yima_schema::time::HOUR;

/// Words of the program's internals.
const INTERNALS: [&str; 9] = [".rs", "panic", "serde", "fjall", "hyper", "axum", "tokio", "unwrap", "Err("];

/// The problem document of a refusal, checked for what each must and must not contain.
#[track_caller]
pub fn problem(reply: &Reply, status: u16, kind: &str) -> Value {
    let problem = reply.json(status);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(!reply.header("x-request-id").is_empty());
    assert_eq!(
        (&problem["type"], &problem["status"]),
        (&json!(format!("https://yima.dev/problems/{kind}")), &json!(status))
    );
    assert!(
        ["title", "detail"].iter().all(|field| problem[field].as_str().is_some_and(|text| text.len() > 5)),
        "{problem}"
    );
    assert!(INTERNALS.iter().all(|word| !problem.to_string().contains(word)), "{problem}");
    problem
}

/// The service still answers, nothing panicked, and the log does not contain `private`.
#[track_caller]
fn assert_unharmed(yima: &Yima, private: &str) {
    let person = new_person();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "green");
    let log = yima.stderr();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(private), "{log}");
}

fn send(yima: &Yima, method: &str, route: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
    let base = if route == "/v1/events" { yima.writer_url() } else { yima.read_url() };
    yima.http().send(method, &format!("{base}{route}"), headers, body).expect("a whole answer")
}

const ROUTES: [(&str, &str); 5] = [
    ("POST", "/v1/sessions"),
    ("GET", "/v1/display"),
    ("GET", "/v1/code"),
    ("POST", "/v1/scan"),
    ("POST", "/v1/events"),
];
