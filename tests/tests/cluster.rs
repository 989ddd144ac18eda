//! The CQL cluster of the harness does what tests of a store on it take for granted.

use std::time::{Duration, Instant};

use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use yima_tests::{Cluster, ClusterOptions};

/// The one number that a statement answers, if any.
async fn run(session: &Session, text: &str) -> Option<i32> {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::LocalQuorum);
    let answer = session.query_unpaged(statement, ()).await.unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let rows = answer.into_rows_result().ok()?;
    rows.maybe_first_row::<(i32,)>().expect("a column of numbers").map(|(number,)| number)
}

#[tokio::test]
async fn datacenters_replicate_and_a_killed_node_keeps_its_data() {
    let cluster = Cluster::start(ClusterOptions::default().nodes([1, 1]).sync_commits().passwords().tls());
    let (first, second) = (cluster.session(1).await, cluster.session(2).await);
    run(&first, "CREATE KEYSPACE t WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}").await;
    run(&first, "CREATE TABLE t.numbers (k int PRIMARY KEY, v int)").await;

    run(&first, "INSERT INTO t.numbers (k, v) VALUES (1, 10)").await;
    let begun = Instant::now();
    while run(&second, "SELECT v FROM t.numbers WHERE k = 1").await != Some(10) {
        assert!(begun.elapsed() < Duration::from_secs(10), "what dc1 has does not arrive in dc2");
    }

    run(&second, "INSERT INTO t.numbers (k, v) VALUES (2, 20)").await;
    cluster.node(2, 1).kill9();
    cluster.node(2, 1).start();
    // A quorum of its datacenter: its own copy, which nobody would send it again.
    let second = cluster.session(2).await;
    assert_eq!(run(&second, "SELECT v FROM t.numbers WHERE k = 2").await, Some(20));
}
