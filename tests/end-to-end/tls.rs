//! TLS on the public ports: handshakes, and certificates that are replaced at run time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use yima_harness::{CertificateFiles, Options, TlsConnection, Yima, new_person, until};
use yima_schema::time::HOUR;

use crate::start_stop::assert_refuses_start;

const LAST_YEAR: i32 = 2099;
/// Time for an awaited state; only a failing test takes it.
const SOON: Duration = Duration::from_secs(30);

/// Options with certificate files for both services.
fn with_tls(last_year: i32) -> (CertificateFiles, Options) {
    let options = Options::default();
    let files = CertificateFiles::make(options.directory(), last_year);
    let options = files.apply_to(options);
    (files, options)
}

#[test]
fn connections_outlive_a_replaced_certificate_and_an_invalid_one_is_refused() {
    let (files, options) = with_tls(LAST_YEAR);
    let yima = Yima::start(options.env("YIMA_READ_API__TLS__HSTS_S", 600));
    let (read, write) = (yima.read_url(), yima.writer_url());
    let first = files.certificate();
    let connect =
        |url: &str| TlsConnection::connect(url, &files.certificate(), &["h2", "http/1.1"]).expect("a handshake");

    let (mut agency, mut phone, mut gate) = (connect(&write), connect(&read), connect(&read));
    assert_eq!(phone.protocol(), Some(b"http/1.1".as_slice()));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR).to_string();
    let accepted = agency.request("POST", "/v1/events", &lab, &event);
    assert_eq!(accepted.json(200)["status"], "accepted");
    assert_eq!(accepted.header("strict-transport-security"), "", "the writer has no HSTS setting");
    let session = |connection: &mut TlsConnection, token: &str| {
        let reply = connection.request("POST", "/v1/sessions", token, "");
        reply.json(200)["session"].as_str().expect("a session is a text").to_owned()
    };
    let citizen = session(&mut phone, &yima.token(&["citizen", &person.document]));
    let guard = session(&mut gate, &yima.token(&["checkpoint"]));
    let shown = phone.request("GET", "/v1/display", &citizen, "");
    assert_eq!(shown.json(200)["colour"]["code"], "red");
    assert_eq!(shown.header("strict-transport-security"), "max-age=600");
    let unrouted = phone.request("GET", "/none", &citizen, "");
    assert_eq!((unrouted.status, unrouted.header("strict-transport-security")), (404, "max-age=600"));
    let code = phone.request("GET", "/v1/code", &citizen, "").json(200)["code"].clone();
    assert_eq!(
        gate.request("POST", "/v1/scan", &guard, &json!({ "code": code }).to_string()).json(200)["verdict"],
        "stop"
    );
    let days_left = |service: &str| yima.metric("tls_certificate_expires_seconds", &[service]) / 86_400.0;
    assert!(days_left(r#"service="read-api""#) > 20_000.0 && days_left(r#"service="writer""#) > 20_000.0);

    files.replace(LAST_YEAR - 60);
    let second = files.certificate();
    for url in [&read, &write] {
        until("a new certificate", SOON, || TlsConnection::connect(url, &second, &[]).is_ok());
        assert!(TlsConnection::connect(url, &first, &[]).is_err(), "the old certificate is still in use");
    }
    until("the new expiry in the metrics", SOON, || days_left(r#"service="read-api""#) < 10_000.0);
    assert_eq!(phone.request("GET", "/v1/display", &citizen, "").status, 200, "a connection outlives its certificate");

    // A key file that is no key: the second certificate stays.
    std::fs::write(&files.key, "hunter2").expect("the directory can be written");
    until("a refusal", SOON, || yima.metric("tls_reloads_total", &[r#"outcome="refused""#]) >= 2.0);
    assert!(TlsConnection::connect(&read, &second, &[]).is_ok());
    let log = yima.stderr();
    assert!(log.contains("tls-key.pem: expected a private key (PEM)") && !log.contains("hunter2"), "{log}");
    assert_eq!(yima.metric("tls_reloads_total", &[r#"outcome="taken""#]), 2.0);
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    assert_eq!(phone.request("GET", "/v1/display", &citizen, "").status, 200);
}

#[test]
fn a_certificate_that_is_not_valid_now_does_not_replace_one_that_is() {
    let (files, options) = with_tls(LAST_YEAR);
    let yima = Yima::start(options);
    let (read, valid) = (yima.read_url(), files.certificate());
    let refused = || yima.metric("tls_reloads_total", &[r#"outcome="refused""#, r#"service="read-api""#]);
    files.replace(2021);
    until("a refusal", SOON, || refused() == 1.0);
    assert!(TlsConnection::connect(&read, &valid, &[]).is_ok() && yima.stderr().contains("is not valid now"));

    // A certificate of the future waits for its start.
    files.replace_in(Duration::from_secs(25), LAST_YEAR);
    let next = files.certificate();
    until("another refusal", SOON, || refused() == 2.0);
    assert!(TlsConnection::connect(&read, &valid, &[]).is_ok());
    until("the certificate's start", SOON * 2, || TlsConnection::connect(&read, &next, &[]).is_ok());
    assert_eq!(refused(), 2.0, "a pending certificate was refused again");
}

#[test]
fn unusable_certificate_files_refuse_the_start_by_name() {
    let (files, options) = with_tls(LAST_YEAR);
    let key = std::fs::read(&files.key).expect("a key");
    files.replace(LAST_YEAR);
    std::fs::write(&files.key, key).expect("the directory can be written");
    assert_refuses_start(
        &options,
        &["read_api.tls.key_file: ", "tls-key.pem: expected the private key of the first certificate"],
    );
    std::fs::write(&files.cert, "none").expect("the directory can be written");
    assert_refuses_start(&options, &["read_api.tls.cert_file: ", "tls-cert.pem: expected certificates (PEM)"]);
    std::fs::remove_file(&files.cert).expect("the directory can be written");
    assert_refuses_start(&options, &["read_api.tls.cert_file: ", "tls-cert.pem: No such file"]);
    assert_refuses_start(
        &Options::default().env("YIMA_WRITER__TLS__CERT_FILE", files.cert.display()),
        &["writer.tls.key_file", "is required"],
    );
}

#[test]
fn a_session_is_resumed_by_every_process_with_the_same_keys_unless_it_is_of_tls12() {
    let (files, options) = with_tls(LAST_YEAR);
    let mut yima = Yima::start(options);
    let [newest, tls12] = [&TLS13, &TLS12].map(|version| files.client_of(version));
    let is_resumed = |yima: &Yima, client: &Arc<ClientConfig>| {
        let mut connection = TlsConnection::connect_as(client, &yima.read_url()).expect("a handshake");
        // With TLS 1.3 the tickets come after the handshake.
        connection.request("GET", "/v1/keys", "", "").json(200);
        connection.is_resumed()
    };
    let both = |yima: &Yima| [&newest, &tls12].map(|client| is_resumed(yima, client));
    assert_eq!(both(&yima), [false, false]);
    assert_eq!(both(&yima), [true, true]);
    yima.restart();
    assert_eq!(both(&yima), [true, false]);
    yima.command(&["keys", "revoke", "session", "0"]);
    let is_in_force = || yima.metric("key_active_number", &[r#"kind="session""#]) == 1.0;
    until("another session key", SOON, is_in_force);
    assert_eq!(both(&yima), [false, true]);
}

#[test]
fn an_expired_certificate_is_used_with_a_warning() {
    let (_, options) = with_tls(2021);
    let yima = Yima::start(options);
    assert!(yima.stderr().contains("the certificate has expired"), "{}", yima.stderr());
    assert!(yima.metric("tls_certificate_expires_seconds", &[r#"service="read-api""#]) < -86_400.0);
}

#[test]
fn an_unfinished_handshake_is_cut_off_and_delays_no_other_client() {
    let (files, options) = with_tls(LAST_YEAR);
    let yima = Yima::start(options.env("YIMA_READ_API__TLS__HANDSHAKE_TIMEOUT_MS", 1_000));
    let connect = || {
        let stream = TcpStream::connect(&yima.read_url()["http://".len()..]).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream
    };
    let secure = |protocols: &[&str]| TlsConnection::connect(&yima.read_url(), &files.certificate(), protocols);
    let outcome = |name: &str| yima.metric("tls_handshakes_total", &[&format!("outcome=\"{name}\"")]);

    let started = Instant::now();
    let (mut silent, mut half) = (connect(), connect());
    half.write_all(&[22, 3, 1, 2]).expect("half a sent record");
    assert!(secure(&[]).is_ok(), "silent clients delay another one");
    assert!(started.elapsed() < Duration::from_secs(1), "the silent clients may be gone already");
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        // A reset counts as an end.
        let _end_or_reset = stream.read_to_end(&mut rest);
    }
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < SOON, "{:?}", started.elapsed());
    until("two handshakes timed out", SOON, || outcome("timed_out") >= 2.0);

    let mut plain = connect();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a sent request");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("This port speaks TLS: ask it by https://.\n"));
    let length = answer.split("\r\n\r\n").last().map(str::len);
    assert!(answer.contains(&format!("Content-Length: {}\r\n", length.unwrap_or_default())), "{answer}");
    assert!(secure(&["h2"]).is_err(), "there is no HTTP/2");
    until("two failed handshakes", SOON, || outcome("failed") >= 2.0);
    assert!(secure(&["http/1.1"]).is_ok());
}

#[test]
fn an_unfinished_handshake_gives_its_place_to_another_client() {
    let (files, options) = with_tls(LAST_YEAR);
    let yima = Yima::start(options.env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", 2));
    let connect = || TcpStream::connect(&yima.read_url()["http://".len()..]).expect("a connection");
    let mut unfinished = [connect(), connect()];
    unfinished[1].write_all(&[22, 3, 1, 2]).expect("half a sent record");
    for stream in &mut unfinished {
        assert!(TlsConnection::connect(&yima.read_url(), &files.certificate(), &[]).is_ok());
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        // A reset counts as an end.
        let _end_or_reset = stream.read_to_end(&mut Vec::new());
    }
}
