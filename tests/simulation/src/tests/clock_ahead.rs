//! A fault that was found by the model, and stays mended.
//!
//! Heartbeats are plain rows: the later timestamp wins. As long as that was the clock of the database node that took the
//! write, a node whose clock was ahead could hide what came after it: the writer died, the node's clock was set right,
//! and the final heartbeat of the sealed stream lost against the earlier one. Nobody followed the stream's marks until
//! the clocks had passed its timestamp, so what the writer had stored was not folded for as long as the clock had been
//! ahead. Heartbeats of open streams take their number for the timestamp now.

use std::sync::Arc;

use yima_store::{ViewReader, WriterStore, bulk};
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;

use crate::clock::{self, OF_NODE, ms, wait};
use crate::cql::{CqlModel, Database};
use crate::network::{self, Process, REPLICAS};
use crate::world::{event, rules, subject, token_keys};
use crate::{chance, on_paused_time};

/// Milliseconds until the event of a writer that died is folded by the next one.
fn folded_after(ahead_ms: i64) -> u64 {
    bulk::without_threads();
    chance::begin(1);
    network::calm();
    on_paused_time(async {
        clock::begin();
        let database: Arc<Database> = Arc::default();
        let process = Arc::new(Process::default());
        let writer = CqlModel::open(Arc::clone(&database), Arc::clone(&process), OF_NODE[0]);
        (0..REPLICAS).for_each(|replica| network::set_replica_ahead(replica, ahead_ms));
        writer.append(vec![event(0, 0)]).await.unwrap();
        wait(1_000).await;
        process.kill();
        network::calm();
        let died_at = ms();
        let next = CqlModel::open(database, Arc::default(), OF_NODE[1]);
        let folder = Folder::start(next.clone(), rules(), token_keys()).await.unwrap();
        let mut follower = MarkFollower::new(next.clone(), Arc::new(folder));
        while next.lookup(subject(0)).await.unwrap().is_none() {
            follower.round().await.unwrap();
            wait(100).await;
        }
        ms() - died_at
    })
}

#[test]
fn a_heartbeat_of_a_clock_ahead_hides_no_end_of_its_stream() {
    for ahead_ms in [0, 60_000] {
        let after = folded_after(ahead_ms);
        assert!(after < 5_000, "{ahead_ms} ms ahead: folded after {after} ms");
    }
}
