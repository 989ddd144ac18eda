//! Clients that no library would be: too many headers, too large, too slow. Bytes on a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use yima_harness::{Options, Yima};

use crate::refusals::bad_input::is_unharmed;
use crate::shared;

fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// What comes back until the connection ends, or is reset after an early answer.
fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(fault) if fault.kind() != ErrorKind::ConnectionReset => panic!("the connection is kept: {fault}"),
        Ok(_) | Err(_) => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn exchange(url: &str, request: &[u8]) -> String {
    let mut stream = connect(url);
    stream.write_all(request).expect("the request is taken in");
    read_all(stream)
}

fn post_events(yima: &Yima, headers: &str) -> String {
    let token = yima.agency_token("lab-7");
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n{headers}\r\n"
    )
}

#[test]
fn heads_that_are_too_much_are_refused() {
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
    is_unharmed(&yima, "GARBAGE");
}

#[test]
fn a_refusal_that_ends_the_connection_says_so() {
    let yima = shared();
    let mut stream = connect(&yima.read_url());
    let head = "POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the head is taken in");
    // Without a token it is refused before its body is there. Whoever keeps connections has to know that this one ends (RFC 9112
    // section 9.6), or the next request on it is lost.
    let answer = read_all(stream);
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.to_lowercase().contains("connection: close\r\n"), "{answer}");
}

#[test]
fn a_body_over_the_limit_is_413_before_it_is_read_or_once_it_is_over() {
    let yima = shared();
    let said = exchange(&yima.writer_url(), post_events(&yima, "Content-Length: 10000001\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("https://yima.dev/problems/too-large"), "{said}");

    let mut unsaid = post_events(&yima, "Transfer-Encoding: chunked\r\n").into_bytes();
    unsaid.extend_from_slice(b"989681\r\n"); // 10,000,001
    unsaid.resize(unsaid.len() + 10_000_001, b' ');
    let answer = exchange(&yima.writer_url(), &unsaid);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    // One byte less is taken: a bad row, and a good connection.
    let mut full = post_events(&yima, "Content-Length: 10000000\r\nConnection: close\r\n").into_bytes();
    full.extend_from_slice(b"{");
    full.resize(full.len() + 9_999_999, b' ');
    let answer = exchange(&yima.writer_url(), &full);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"rejected\""), "{answer}");
}

/// Sends one byte at a time until the other side has had enough; returns what it said and how long that took.
fn drip(url: &str, head: &str, bytes: &[u8]) -> (String, Duration) {
    let mut stream = connect(url);
    stream.write_all(head.as_bytes()).expect("the head is taken in");
    let begun = Instant::now();
    let mut peek = [0];
    for byte in bytes {
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let had_enough = match stream.peek(&mut peek) {
            Ok(_) => true,
            Err(fault) => fault.kind() != ErrorKind::WouldBlock,
        };
        if had_enough || stream.write_all(&[*byte]).is_err() {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    (read_all(stream), begun.elapsed())
}

#[test]
fn a_client_that_is_too_slow_is_cut_off() {
    let options = Options::default()
        .env("YIMA_READ_API__HTTP__HEADER_READ_TIMEOUT_MS", 500)
        .env("YIMA_WRITER__HTTP__HEADER_READ_TIMEOUT_MS", 500)
        .env("YIMA_WRITER__BODY_TIMEOUT_MS", 500);
    let yima = Yima::start(options);
    // 1,000 bytes would take 20 s.
    for url in [yima.read_url(), yima.writer_url()] {
        let (_, took) = drip(&url, "GET /v1/display HTTP/1.1\r\nHost: x\r\nX: ", &[b'y'; 1_000]);
        assert!(took > Duration::from_millis(400) && took < Duration::from_secs(8), "a slow head: {took:?}");
    }
    let head = post_events(&yima, "Content-Length: 1000\r\n");
    let (answer, took) = drip(&yima.writer_url(), &head, &[b' '; 1_000]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("https://yima.dev/problems/timeout"), "{answer}");
    assert!(took > Duration::from_millis(400) && took < Duration::from_secs(8), "a slow body: {took:?}");
    is_unharmed(&yima, "never in a log");
}
