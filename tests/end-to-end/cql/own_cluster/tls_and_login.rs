//! A database that requires TLS and a login.

use std::sync::Arc;
use std::time::Duration;

use yima_harness::cluster::{PASSWORD, USER};
use yima_harness::{Cluster, ClusterOptions, Options, Region, new_person, until};
use yima_schema::time::HOUR;

use crate::start_stop::assert_refuses_start;

#[test]
fn services_speak_tls_and_log_in() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().passwords().tls()));
    let certificate = cluster.certificate().expect("the cluster speaks TLS").display().to_string();
    let secured = Options::default()
        .env("YIMA_STORE__CQL__USER", USER)
        .env("YIMA_STORE__CQL__PASSWORD", PASSWORD)
        .env("YIMA_STORE__CQL__TLS__CA_FILE", &certificate);
    let region = Region::new(&cluster, 1, "xian", "secured", secured);
    let (writer, reader) = (region.writer(&[]), region.reader(&[]));
    let (person, lab) = (new_person(), writer.agency_token("lab-7"));
    let session = reader.session_of(&person);
    assert_eq!(writer.event(&lab, &person.test("t-1", "positive", HOUR)), "accepted");
    until("a red display", Duration::from_secs(30), || reader.shown(&session).0 == "red");

    let wrong = |variable: &str, value: &str| region.options().clone().env(variable, value).command_line(&["writer"]);
    assert_refuses_start(
        &wrong("YIMA_STORE__CQL__PASSWORD", "hunter2"),
        &["store.cql.contact_points", "store.cql.user"],
    );
}
