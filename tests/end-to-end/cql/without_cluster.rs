//! What is wrong before a database is asked anything, or when there is none.

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::Options;

use crate::start_stop::refuses;

const CONTACT_POINTS: &str = "YIMA_STORE__CQL__CONTACT_POINTS";

/// A writer, beside whose data there are keys.
fn writer() -> Options {
    let options = Options::default().command_line(&["writer"]);
    // Makes them before it connects.
    let migrated =
        options.clone().env(CONTACT_POINTS, "[]").command().arg("migrate").output().expect("yima can be run");
    assert_eq!(migrated.status.code(), Some(3));
    options
}

#[test]
fn without_a_database_it_refuses_soon() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("a bound port");
    let begun = Instant::now();
    refuses(
        &writer().env(CONTACT_POINTS, format!("[\"{closed}\"]")),
        &["store.cql.contact_points", &closed.to_string()],
    );
    refuses(&writer().env(CONTACT_POINTS, "[\"no-such-host.invalid:9042\"]"), &["store.cql.contact_points"]);
    refuses(&writer().env(CONTACT_POINTS, "[]"), &["store.cql.contact_points", "at least one node"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_node_that_says_nothing_is_neither_waited_for_nor_stormed() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("a bound port").to_string();
    silent.set_nonblocking(true).expect("a listener can be made non-blocking");
    let (options, begun) = (writer().env(CONTACT_POINTS, format!("[\"{address}\"]")), Instant::now());
    let refused = thread::spawn(move || refuses(&options, &["store.cql.contact_points", "gives an answer"]));
    let mut connections = Vec::new();
    while !refused.is_finished() {
        connections.extend(silent.accept());
        thread::sleep(Duration::from_millis(5));
    }
    refused.join().expect("it refuses");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!((1..=3).contains(&connections.len()), "{} connections", connections.len());
}

#[test]
fn names_that_cannot_be_keyspaces_are_refused() {
    for name in ["Xi'an", "xi-an", "7th", "a_region_with_a_long_name"] {
        refuses(&writer().env("YIMA_REGION__NAME", format!("\"{name}\"")), &["region.name", "lower-case"]);
    }
    refuses(&writer().env("YIMA_STORE__CQL__KEYSPACE", "a b"), &["store.cql.keyspace"]);
}

#[test]
fn tls_files_that_cannot_be_used_are_named() {
    const CA: &str = "YIMA_STORE__CQL__TLS__CA_FILE";
    const KEY: &str = "YIMA_STORE__CQL__TLS__KEY_FILE";
    let options = writer();
    let not_pem = options.data_dir().join("keys/seal.key").display().to_string();
    refuses(&options.clone().env(CA, "/no/such.pem"), &["store.cql.tls.ca_file", "/no/such.pem"]);
    refuses(&options.clone().env(CA, &not_pem), &["store.cql.tls.ca_file", &not_pem]);
    refuses(&options.clone().env(KEY, &not_pem), &["store.cql.tls.ca_file", "required"]);
    let garbled = options.data_dir().join("ca.pem");
    fs::write(&garbled, "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n").expect("a file");
    let garbled = garbled.display().to_string();
    refuses(&options.env(CA, &garbled), &["store.cql.tls.ca_file", &garbled]);
}

#[test]
fn a_service_apart_does_not_run_on_what_one_process_has() {
    for service in ["read-api", "writer"] {
        let options = Options::default().command_line(&[service, "--store", "embedded"]);
        refuses(&options, &["--store embedded", "--store cql"]);
        let without_keys = Options::default().command_line(&[service]);
        refuses(&without_keys, &["pseudonym.key", "yima migrate"]);
        assert!(!without_keys.data_dir().exists(), "keys are not made by a service apart");
    }
}
