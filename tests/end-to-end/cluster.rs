//! The CQL cluster of the harness does what tests of a store on it take for granted.

use std::time::{Duration, Instant};

use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use yima_harness::{Cluster, ClusterOptions};

/// The one number that a statement answers, if any.
async fn run(session: &Session, text: &str) -> Option<i32> {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::LocalQuorum);
    let answer = session.query_unpaged(statement, ()).await.unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let rows = answer.into_rows_result().ok()?;
    rows.maybe_first_row::<(i32,)>().expect("a column of numbers").map(|(number,)| number)
}

/// Waits until a datacenter has the value of that key.
async fn arrives(session: &Session, key: i32, value: i32) {
    let begun = Instant::now();
    while run(session, &format!("SELECT v FROM t.numbers WHERE k = {key}")).await != Some(value) {
        assert!(begun.elapsed() < Duration::from_secs(30), "what was written elsewhere does not arrive");
    }
}

#[tokio::test]
async fn as_root_datacenters_replicate_can_be_cut_off_and_keep_what_a_killed_node_had() {
    let options = ClusterOptions::default().nodes([1, 1]).sync_commits().passwords().tls().namespaces();
    let cluster = Cluster::start(options);
    let (first, second) = (cluster.session(1).await, cluster.session(2).await);
    run(&first, "CREATE KEYSPACE t WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}").await;
    run(&first, "CREATE TABLE t.numbers (k int PRIMARY KEY, v int)").await;
    run(&first, "INSERT INTO t.numbers (k, v) VALUES (1, 10)").await;
    arrives(&second, 1, 10).await;

    cluster.cut(2);
    run(&first, "INSERT INTO t.numbers (k, v) VALUES (2, 20)").await;
    run(&second, "INSERT INTO t.numbers (k, v) VALUES (3, 30)").await;
    // Far longer than it took before, if it were to come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(run(&second, "SELECT v FROM t.numbers WHERE k = 2").await, None);
    assert_eq!(run(&first, "SELECT v FROM t.numbers WHERE k = 3").await, None);
    cluster.heal(2);
    arrives(&second, 2, 20).await;
    arrives(&first, 3, 30).await;

    run(&second, "INSERT INTO t.numbers (k, v) VALUES (4, 40)").await;
    cluster.node(2, 1).kill9();
    cluster.node(2, 1).start();
    // A quorum of its datacenter: its own copy, which nobody would send it again.
    let second = cluster.session(2).await;
    assert_eq!(run(&second, "SELECT v FROM t.numbers WHERE k = 4").await, Some(40));
}
