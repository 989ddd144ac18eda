//! Hostile clients, as raw bytes on a socket: heads that are malformed or too large, bodies over
//! the limit, slow requests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use yima_harness::{Options, Yima, new_person, until};
use yima_schema::time::HOUR;

use super::assert_unharmed;
use crate::shared;

fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Reads until the connection ends, or is reset after an early answer.
fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the connection is kept: {error}"),
        Ok(_) | Err(_) => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn exchange(url: &str, request: &[u8]) -> String {
    let mut stream = connect(url);
    stream.write_all(request).expect("a sent request");
    read_all(stream)
}

fn post_events(yima: &Yima, headers: &str) -> String {
    let token = yima.agency_token("lab-7");
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/x-ndjson\r\n{headers}\r\n"
    )
}

#[test]
fn malformed_and_oversized_heads_are_refused() {
    let yima = shared();
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(20_000));
    for url in [yima.read_url(), yima.writer_url()] {
        for headers in [&many, &large] {
            let answer = exchange(&url, format!("GET /v1/display HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        for request in [
            "GARBAGE\r\n\r\n".to_owned(),
            "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
            "GET /v1/display HTTP/1.1\r\nHost: x\r\nbroken header\r\n\r\n".to_owned(),
            "POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        ] {
            let answer = exchange(&url, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
        }
        for authorization in [b"\xff\xfe".as_slice(), b"Bearer", b"Bearer \xe5\x81\xa5"] {
            let request = [
                b"GET /v1/code HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ",
                authorization,
                b"\r\n\r\n",
            ];
            let answer = exchange(&yima.read_url(), &request.concat());
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
        let answer = exchange(&url, long.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_unharmed(&yima, "GARBAGE");
}

#[test]
fn a_head_that_can_be_understood_in_two_ways_is_refused() {
    let yima = shared();
    for url in [yima.read_url(), yima.writer_url()] {
        for headers in [
            "",
            "Host: x\r\nHost: x\r\n",
            "Host: \r\n",
            "Host: x y\r\n",
            "Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a\r\n",
            "Host: x\r\nTE: gzip, chunked\r\n",
            "Host: x\r\nTransfer-Encoding: gzip, chunked\r\n",
        ] {
            for route in ["GET /v1/display", "POST /v1/events", "POST /v1/scan", "GET /", "GET /docs/"] {
                let answer = exchange(&url, format!("{route} HTTP/1.1\r\n{headers}\r\n0\r\n\r\n").as_bytes());
                assert!(answer.starts_with("HTTP/1.1 400 "), "{route} {headers:?}: {answer}");
            }
        }
    }
}

#[test]
fn a_refusal_that_closes_the_connection_says_so() {
    let yima = shared();
    let mut stream = connect(&yima.read_url());
    let head = "POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("a sent head");
    // A request without a token is refused before its body arrives. A client that reuses connections has to know that
    // this one closes (RFC 9112 section 9.6), or the next request on it is lost.
    let answer = read_all(stream);
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.to_lowercase().contains("connection: close\r\n"), "{answer}");
}

#[test]
fn a_body_over_the_limit_is_413_by_its_stated_or_its_read_length() {
    let yima = shared();
    let stated = exchange(&yima.writer_url(), post_events(&yima, "Content-Length: 10000001\r\n").as_bytes());
    assert!(stated.starts_with("HTTP/1.1 413 ") && stated.contains("https://yima.dev/problems/too-large"), "{stated}");

    let mut chunked = post_events(&yima, "Transfer-Encoding: chunked\r\n").into_bytes();
    chunked.extend_from_slice(b"989681\r\n"); // 10,000,001
    chunked.resize(chunked.len() + 10_000_001, b' ');
    let answer = exchange(&yima.writer_url(), &chunked);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    // One byte less is within the limit: the row is rejected, the request is not.
    let mut full = post_events(&yima, "Content-Length: 10000000\r\nConnection: close\r\n").into_bytes();
    full.extend_from_slice(b"{");
    full.resize(full.len() + 9_999_999, b' ');
    let answer = exchange(&yima.writer_url(), &full);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"rejected\""), "{answer}");
}

/// Sends one byte at a time until the server answers or closes the connection; returns the
/// answer and the time until then.
fn drip(url: &str, head: &str, bytes: &[u8]) -> (String, Duration) {
    let mut stream = connect(url);
    stream.write_all(head.as_bytes()).expect("a sent head");
    let started = Instant::now();
    let mut peek = [0];
    for byte in bytes {
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let has_ended = match stream.peek(&mut peek) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        if has_ended || stream.write_all(&[*byte]).is_err() {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    (read_all(stream), started.elapsed())
}

#[test]
fn a_slow_client_is_cut_off() {
    let options = Options::default()
        .env("YIMA_READ_API__HTTP__HEADER_READ_TIMEOUT_MS", 500)
        .env("YIMA_WRITER__HTTP__HEADER_READ_TIMEOUT_MS", 500)
        .env("YIMA_WRITER__BODY_TIMEOUT_MS", 500);
    let yima = Yima::start(options);
    // At one byte in 20 ms, 1,000 bytes would take 20 s.
    for url in [yima.read_url(), yima.writer_url()] {
        let (_, took) = drip(&url, "GET /v1/display HTTP/1.1\r\nHost: x\r\nX: ", &[b'y'; 1_000]);
        assert!(took > Duration::from_millis(400) && took < Duration::from_secs(8), "a slow head: {took:?}");
    }
    let head = post_events(&yima, "Content-Length: 1000\r\n");
    let (answer, took) = drip(&yima.writer_url(), &head, &[b' '; 1_000]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("https://yima.dev/problems/timeout"), "{answer}");
    assert!(took > Duration::from_millis(400) && took < Duration::from_secs(8), "a slow body: {took:?}");
    assert_unharmed(&yima, "never in a log");
}

#[test]
fn the_slow_bodies_of_one_agency_leave_places_to_others() {
    const BODIES: usize = 10;
    // A quarter of these is one agency's.
    let yima = Yima::start(Options::default().env("YIMA_WRITER__HTTP__MAX_IN_FLIGHT", 8));
    let head = post_events(&yima, "Content-Length: 1000\r\n");
    let slow = std::iter::repeat_with(|| {
        let mut stream = connect(&yima.writer_url());
        stream.write_all(head.as_bytes()).expect("a sent head");
        stream.write_all(b"{").expect("a sent byte");
        stream
    });
    let slow: Vec<_> = slow.take(BODIES).collect();
    until("bodies in flight", Duration::from_secs(10), || {
        yima.metric("http_requests_in_flight", &[r#"service="writer""#]) >= 2.0
    });
    let (other, begun) = (yima.agency_token("lab-8"), Instant::now());
    assert_eq!(yima.event(&other, &new_person().test("t-1", "negative", HOUR)), "accepted");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let answers: Vec<String> = slow.into_iter().map(read_all).collect();
    let count = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
    assert_eq!((count("HTTP/1.1 408 "), count("HTTP/1.1 429 ")), (2, BODIES - 2), "{answers:?}");
    // Well before `body_timeout_ms`, 30 s.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
