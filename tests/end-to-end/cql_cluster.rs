//! The harness' CQL cluster: tests of a store on it rely on replication, partitions and durable commits.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use yima_harness::{Cluster, ClusterOptions};

use crate::until_async;

/// The one number that a statement returns, if any.
async fn run(session: &Session, text: &str) -> Option<i32> {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::LocalQuorum);
    let answer = session.query_unpaged(statement, ()).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    let rows = answer.into_rows_result().ok()?;
    rows.maybe_first_row::<(i32,)>().expect("a column of numbers").map(|(number,)| number)
}

/// Waits until a datacenter has the value of this key.
async fn wait_for_replica(session: &Session, key: i32, value: i32) {
    let select = format!("SELECT v FROM t.numbers WHERE k = {key}");
    let has_arrived = async || run(session, &select).await == Some(value);
    until_async(&format!("replication of {key}"), Duration::from_secs(30), has_arrived).await;
}

#[tokio::test]
async fn as_root_datacenters_replicate_can_be_partitioned_and_lose_no_commit_of_a_killed_node() {
    let options = ClusterOptions::default().nodes([1, 1]).sync_commits().passwords().tls().namespaces();
    let cluster = Cluster::start(options);
    let (first, second) = (cluster.session(1).await, cluster.session(2).await);
    run(&first, "CREATE KEYSPACE t WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}").await;
    run(&first, "CREATE TABLE t.numbers (k int PRIMARY KEY, v int)").await;
    run(&first, "INSERT INTO t.numbers (k, v) VALUES (1, 10)").await;
    wait_for_replica(&second, 1, 10).await;

    cluster.cut(2);
    run(&first, "INSERT INTO t.numbers (k, v) VALUES (2, 20)").await;
    run(&second, "INSERT INTO t.numbers (k, v) VALUES (3, 30)").await;
    // Far longer than replication took before: nothing crosses the partition.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(run(&second, "SELECT v FROM t.numbers WHERE k = 2").await, None);
    assert_eq!(run(&first, "SELECT v FROM t.numbers WHERE k = 3").await, None);
    cluster.heal(2);
    wait_for_replica(&second, 2, 20).await;
    wait_for_replica(&first, 3, 30).await;

    run(&second, "INSERT INTO t.numbers (k, v) VALUES (4, 40)").await;
    cluster.node(2, 1).kill9();
    cluster.node(2, 1).start();
    // The quorum of its datacenter is its own replica, which no other node would send again.
    let second = cluster.session(2).await;
    assert_eq!(run(&second, "SELECT v FROM t.numbers WHERE k = 4").await, Some(40));
}
