//! Waiting rooms: sign-ins and uploads beyond what can be served.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use yima_harness::{Options, Yima, new_person, until};
use yima_schema::time::HOUR;

#[test]
fn an_upload_without_room_gets_a_place_and_is_let_in_with_the_ticket() {
    let options = Options::default().env("YIMA_WRITER__HTTP__MAX_IN_FLIGHT", 1);
    let yima = Yima::start(options);
    let (lab, other) = (yima.agency_token("lab-7"), yima.agency_token("lab-8"));
    // One body that does not arrive takes the only permit.
    let address = yima.writer_url().trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).expect("the writer listens");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {lab}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).expect("a sent head");
    until("a body in flight", Duration::from_secs(10), || {
        yima.metric("http_requests_in_flight", &[r#"service="writer""#]) >= 1.0
    });
    let event = new_person().test("w-1", "negative", HOUR).to_string();
    let send = |token: &str, ticket: &str| {
        let (url, bearer) = (format!("{}/v1/events", yima.writer_url()), format!("Bearer {token}"));
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("yima-ticket", ticket)];
        yima.http().send("POST", &url, &headers, Some(event.as_bytes())).expect("a whole answer")
    };
    let refused = send(&other, "");
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    let problem: Value = refused.json(503);
    assert_eq!(problem["type"], "https://yima.dev/problems/waiting");
    assert_eq!(problem["waiting"]["place"], 1, "{problem}");
    let ticket = problem["waiting"]["ticket"].as_str().expect("a ticket").to_owned();
    // As long as there is no room the place is kept.
    let again = send(&other, &ticket).json(503);
    assert_eq!((&again["type"], &again["waiting"]["place"]), (&problem["type"], &1.into()));
    drop(slow);
    until("let in", Duration::from_secs(20), || send(&other, &ticket).status == 200);
    assert_eq!(yima.metric("waiting_room_total", &[r#"room="upload""#, r#"outcome="given""#]), 1.0);
    assert!(yima.metric("waiting_room_total", &[r#"room="upload""#, r#"outcome="admitted""#]) >= 1.0);
}
