//! Header fields of a display, and conditional requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use yima_harness::{Reply, Yima, ago, new_person, now};
use yima_schema::time::{HOUR, Time};

use crate::shared;

/// A display requested with this `If-None-Match`.
fn conditional(yima: &Yima, session: &str, tag: &str) -> Reply {
    let (url, bearer) = (format!("{}/v1/display", yima.read_url()), format!("Bearer {session}"));
    let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
    yima.http().send("GET", &url, &headers, None).expect("a whole answer")
}

#[track_caller]
fn assert_has_display_headers(reply: &Reply) {
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    assert!(reply.header("etag").starts_with('"') && reply.header("etag").ends_with('"'));
    assert_eq!(reply.header("vary").to_ascii_lowercase(), "authorization, yima-for");
    assert!(reply.header("cache-status").starts_with("yima; "), "{}", reply.header("cache-status"));
    let as_of: Time = reply.header("yima-as-of").parse().expect("Yima-As-Of is RFC 3339");
    assert!(as_of <= now() && now().since(as_of) < Duration::from_secs(2), "fresh answers are at most max_lag old");
    assert!(reply.header("age").parse::<u32>().expect("Age is a number") <= 2);
    assert!(reply.header("yima-refresh-after").parse::<u32>().expect("a number of seconds") >= 1);
    // A 304 leaves the request id out, to be short.
    assert_eq!(!reply.header("x-request-id").is_empty(), reply.status == 200);
}

/// The bytes of a response, head and body.
fn on_the_wire(yima: &Yima, session: &str, tag: &str) -> Vec<u8> {
    let address = yima.read_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).expect("yima listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time above zero");
    let request = format!(
        "GET /v1/display HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {session}\r\nIf-None-Match: {tag}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request is small");
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let read = stream.read(&mut part).expect("more of the answer");
        assert!(read > 0, "the connection was closed");
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.map_or(0, |length| length.parse::<usize>().expect("a number")) == body.len() {
            return answer;
        }
    }
}

#[test]
fn a_display_takes_1500_bytes_and_an_unchanged_one_260() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let session = yima.session_of(&person);
    let (name, dose) =
        (json!({ "name": "欧阳明月", "born": "1990-03-07" }), |n| json!({ "vaccine": "210", "dose": n }));
    yima.event(&lab, &person.event("i-1", "identity", &ago(HOUR), name));
    for n in 1..=3 {
        yima.event(&lab, &person.event(&format!("v-{n}"), "vaccination", &ago(HOUR * (n * 24)), dose(n)));
        yima.event(&lab, &person.test(&format!("t-{n}"), "negative", HOUR * n));
    }
    let known = yima.display(&session);
    assert_eq!(known.json(200)["tests"].as_array().map(Vec::len), Some(3));
    let first = on_the_wire(&yima, &session, "\"\"");
    assert!(first.starts_with(b"HTTP/1.1 200 OK") && first.len() <= 1_500, "{} bytes", first.len());
    let unchanged = on_the_wire(&yima, &session, known.header("etag"));
    let text = String::from_utf8_lossy(&unchanged);
    assert!(text.starts_with("HTTP/1.1 304 ") && unchanged.len() <= 260, "{} bytes:\n{text}", unchanged.len());
}

#[test]
fn an_unchanged_display_is_304_and_a_change_is_200() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let session = yima.session_of(&person);
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let first = yima.display(&session);
    assert_eq!((first.status, first.header("content-type")), (200, "application/json"));
    assert_has_display_headers(&first);
    let etag = first.header("etag");
    let again = yima.display(&session);
    assert_eq!((again.header("etag"), &again.body), (etag, &first.body));
    assert_eq!(again.header("cache-status"), "yima; hit; detail=hit_memory");

    for tag in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let unchanged = conditional(&yima, &session, &tag);
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{tag}");
        assert_eq!((unchanged.header("content-type"), unchanged.header("etag")), ("", etag));
        assert_has_display_headers(&unchanged);
    }

    yima.event(&lab, &person.test("t-2", "positive", HOUR));
    // An answer that is true of a moment before the acknowledgement may still have the earlier view.
    yima.display(&session);
    let changed = conditional(&yima, &session, etag);
    assert_eq!(changed.json(200)["colour"]["code"], "red");
    assert_ne!(changed.header("etag"), etag);
    assert_has_display_headers(&changed);
}

#[test]
fn a_forged_or_foreign_entity_tag_is_ignored() {
    let yima = shared();
    let (person, stranger, lab) = (new_person(), new_person(), yima.agency_token("lab-7"));
    for tested in [&person, &stranger] {
        yima.event(&lab, &tested.test("t-1", "negative", HOUR));
    }
    let session = yima.session_of(&person);
    let etag = yima.display(&session).header("etag").to_owned();
    let foreign = yima.display(&yima.session_of(&stranger)).header("etag").to_owned();
    // The first bytes are the version: this tag claims a higher one.
    let later = etag.replacen("\"A", "\"_", 1);
    assert_ne!(later, etag);
    let cut = format!("{}\"", &etag[..10]);
    for forged in [later.as_str(), &foreign, &cut, "\"\"", "\"x", "nonsense", "\"你好\""] {
        let reply = conditional(&yima, &session, forged);
        assert_eq!((reply.status, reply.header("etag")), (200, etag.as_str()), "{forged}");
    }
}
