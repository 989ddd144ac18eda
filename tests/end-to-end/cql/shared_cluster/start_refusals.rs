//! Databases on which a node refuses to start, though they answer.

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use yima_harness::Options;

use crate::cql::make_keys;
use crate::start_stop::assert_refuses_start;

/// One test for all, since each case needs a keyspace in the state that the one before left.
#[test]
fn a_node_refuses_a_keyspace_that_is_missing_or_does_not_fit() {
    let cluster = crate::cql::cluster();
    let contact_point = &cluster.contact_points(1)[0].to_string();
    missing_keyspace(contact_point, "refusals_missing");
    without_replicas(contact_point, "refusals_bare");
    // The cases from here on need a migrated keyspace; the last ones leave it unusable.
    let options = migrated(contact_point, "refusals");
    other_datacenter(&options);
    without_replicas_in_the_other_datacenter(&options, cluster.contact_points(2)[0].to_string());
    too_few_replicas(&options);
    other_pseudonym_key(contact_point, "refusals");
    newer_schema(&options, contact_point, "refusals");
}

fn writer(contact_point: &str, keyspace: &str) -> Options {
    Options::default()
        .command_line(&["writer"])
        .env("YIMA_STORE__CQL__CONTACT_POINTS", format!("[\"{contact_point}\"]"))
        .env("YIMA_STORE__CQL__KEYSPACE", keyspace)
}

/// A writer whose keyspaces are migrated, with one replica.
fn migrated(contact_point: &str, keyspace: &str) -> Options {
    let options = writer(contact_point, keyspace);
    let first = options.print(&["migrate", "--replication", "dc1=1"]);
    assert!(first.last().is_some_and(|line| line == "registered the region"), "{first:?}");
    assert_eq!(options.print(&["migrate"]), ["nothing to do"]);
    options
}

fn missing_keyspace(contact_point: &str, keyspace: &str) {
    let options = writer(contact_point, keyspace);
    make_keys(&options);
    assert_refuses_start(&options, &[&format!("the keyspace {keyspace} does not exist"), "yima migrate"]);
    let read_api = options.command_line(&["read-api"]);
    assert_refuses_start(&read_api, &[&format!("the keyspace {keyspace} does not exist"), "yima migrate"]);
}

fn other_datacenter(options: &Options) {
    let elsewhere = options.clone().env("YIMA_STORE__CQL__DATACENTER", "dc7");
    assert_refuses_start(&elsewhere, &["store.cql.datacenter", "no datacenter dc7", "dc1"]);
}

/// A region whose datacenter has no replicas of the shared keyspace.
fn without_replicas_in_the_other_datacenter(options: &Options, contact_point: String) {
    let other = options
        .clone()
        .env("YIMA_REGION__NAME", "chengdu")
        .env("YIMA_STORE__CQL__DATACENTER", "dc2")
        .env("YIMA_STORE__CQL__CONTACT_POINTS", format!("[\"{contact_point}\"]"));
    let migrated = other.command().arg("migrate").output().expect("yima can be run");
    assert_eq!(migrated.status.code(), Some(3));
    let stderr = String::from_utf8_lossy(&migrated.stderr);
    assert!(stderr.contains("no replicas in datacenter dc2"), "{stderr}");
}

fn too_few_replicas(options: &Options) {
    let careful = options.clone().env("YIMA_STORE__CQL__MIN_REPLICAS", 3);
    assert_refuses_start(&careful, &["store.cql.min_replicas", "1 replicas", "asks for 3"]);
    let jwks = options.data_dir().join("jwks.json").display().to_string();
    std::fs::write(&jwks, "{\"keys\":[]}").expect("the data directory can be written");
    assert_refuses_start(
        &options.clone().env("YIMA_IDENTITY_PROVIDER__KEYS_FILE", jwks),
        &["store.cql.min_replicas", "asks for 3"],
    );
}

/// A keyspace that is not replicated by datacenter, as one made by hand may be.
fn without_replicas(contact_point: &str, keyspace: &str) {
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    execute(contact_point, &format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}"));
    let options = writer(contact_point, keyspace);
    make_keys(&options);
    assert_refuses_start(&options, &[keyspace, "no replicas in datacenter dc1"]);
}

fn other_pseudonym_key(contact_point: &str, keyspace: &str) {
    let options = writer(contact_point, keyspace);
    let migrated = options.command().arg("migrate").output().expect("yima can be run");
    assert_eq!(migrated.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&migrated.stderr).contains("another pseudonym key"));
    assert_refuses_start(&options, &["another pseudonym key", "keys/pseudonym.key"]);
}

fn newer_schema(options: &Options, contact_point: &str, keyspace: &str) {
    let row = format!("('{keyspace}', 99, 'later')");
    execute(contact_point, &format!("INSERT INTO {keyspace}.migrations (keyspace_name, number, name) VALUES {row}"));
    assert_refuses_start(options, &["migration 99", "newer program"]);
    let migrated = options.command().arg("migrate").output().expect("yima can be run");
    assert_eq!(migrated.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&migrated.stderr).contains("newer program"));
}

fn execute(contact_point: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let session: Session = SessionBuilder::new().known_node(contact_point).build().await.expect("a session");
        session.query_unpaged(statement, ()).await.expect("a valid statement");
    });
}
