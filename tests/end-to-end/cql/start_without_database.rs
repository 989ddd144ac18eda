//! Start-up errors without a database: settings that are wrong before it connects, and nodes that do not answer.

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::{Options, until};

use super::make_keys;
use crate::start_stop::assert_refuses_start;

const CONTACT_POINTS: &str = "YIMA_STORE__CQL__CONTACT_POINTS";

/// A writer whose data directory has keys.
fn writer() -> Options {
    let options = Options::default().command_line(&["writer"]);
    make_keys(&options);
    options
}

#[test]
fn a_writer_without_a_database_refuses_within_15_seconds() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound port");
    let started = Instant::now();
    assert_refuses_start(
        &writer().env(CONTACT_POINTS, format!("[\"{closed}\"]")),
        &["store.cql.contact_points", &closed.to_string()],
    );
    assert_refuses_start(
        &writer().env(CONTACT_POINTS, "[\"no-such-host.invalid:9042\"]"),
        &["store.cql.contact_points"],
    );
    assert_refuses_start(&writer().env(CONTACT_POINTS, "[]"), &["store.cql.contact_points", "at least one node"]);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_silent_node_gets_at_most_three_connections_and_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("a bound port").to_string();
    silent.set_nonblocking(true).expect("a listener can be made non-blocking");
    let (options, started) = (writer().env(CONTACT_POINTS, format!("[\"{address}\"]")), Instant::now());
    let refused =
        thread::spawn(move || assert_refuses_start(&options, &["store.cql.contact_points", "gives an answer"]));
    let mut connections = Vec::new();
    until("the refusal", Duration::from_secs(60), || {
        connections.extend(std::iter::from_fn(|| silent.accept().ok()));
        refused.is_finished()
    });
    refused.join().expect("the writer refuses to start");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!((1..=3).contains(&connections.len()), "{} connections", connections.len());
}

#[test]
fn names_that_are_no_valid_keyspaces_are_refused() {
    for name in ["Xi'an", "xi-an", "7th", "a_region_with_a_long_name"] {
        assert_refuses_start(&writer().env("YIMA_REGION__NAME", format!("\"{name}\"")), &["region.name", "lower-case"]);
    }
    assert_refuses_start(&writer().env("YIMA_STORE__CQL__KEYSPACE", "a b"), &["store.cql.keyspace"]);
}

#[test]
fn unusable_tls_files_are_refused_by_name() {
    const CA: &str = "YIMA_STORE__CQL__TLS__CA_FILE";
    const KEY: &str = "YIMA_STORE__CQL__TLS__KEY_FILE";
    let options = writer();
    let not_pem = options.data_dir().join("keys/seal.key").display().to_string();
    assert_refuses_start(&options.clone().env(CA, "/no/such.pem"), &["store.cql.tls.ca_file", "/no/such.pem"]);
    assert_refuses_start(&options.clone().env(CA, &not_pem), &["store.cql.tls.ca_file", &not_pem]);
    assert_refuses_start(&options.clone().env(KEY, &not_pem), &["store.cql.tls.ca_file", "required"]);
    let garbled = options.data_dir().join("ca.pem");
    fs::write(&garbled, "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n").expect("a file");
    let garbled = garbled.display().to_string();
    assert_refuses_start(&options.env(CA, &garbled), &["store.cql.tls.ca_file", &garbled]);
}

#[test]
fn a_service_apart_refuses_the_embedded_store_and_makes_no_keys() {
    for service in ["read-api", "writer"] {
        let options = Options::default().command_line(&[service, "--store", "embedded"]);
        assert_refuses_start(&options, &["--store embedded", "--store cql"]);
        let without_keys = Options::default().command_line(&[service]);
        assert_refuses_start(&without_keys, &["pseudonym.key", "yima migrate"]);
        assert!(!without_keys.data_dir().exists(), "keys are not made by a service apart");
    }
}
