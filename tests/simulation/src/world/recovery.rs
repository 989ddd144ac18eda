//! The end of a run: all faults end, and soon every node shows the same, with everything acknowledged.

use std::sync::Arc;

use yima_schema::time::Time;
use yima_schema::view::Version;

use super::{World, subject};
use crate::clock::{self, OF_NODE, ms, wait};
use crate::network;
use crate::oracle::Look;

/// Within which every node shows the same after the last fault.
const RECOVERED_IN_MS: u64 = 40_000;

impl World {
    pub(super) async fn recover(self: &Arc<Self>) {
        network::calm();
        let nodes = self.nodes.lock().len();
        for node in 0..nodes {
            clock::set_ahead(node, 0);
            let process = Arc::clone(&self.nodes.lock()[node].process);
            process.pause(0);
            process.cut(0);
            if process.is_dead() {
                self.restart(node);
            }
        }
        let (since, began) = (clock::now(), ms());
        loop {
            wait(500).await;
            let Some(missing) = self.missing(since).await else { return };
            if self.oracle.lock().violation.is_some() {
                return;
            }
            if ms() - began > RECOVERED_IN_MS {
                self.oracle.lock().violation.get_or_insert(format!("after the last fault {missing}"));
                return;
            }
        }
    }

    /// What is not as it should be yet.
    async fn missing(self: &Arc<Self>, since: Time) -> Option<String> {
        for of in 0..self.subjects {
            let mut first: Option<(usize, Version)> = None;
            for (node, views) in self.readers() {
                let Ok(answer) = views.get(subject(of), Version::ABSENT).await else {
                    return Some(format!("node {node} does not answer about subject {of}"));
                };
                let mut oracle = self.oracle.lock();
                let look = Look { node, subject: of, floor: Version::ABSENT };
                let has = oracle.check(look, &answer, clock::now(), OF_NODE[node]());
                if !answer.fresh || answer.as_of <= since {
                    return Some(format!("node {node} stays stale about subject {of}"));
                }
                if oracle.all_acknowledged(of) & !has != 0 {
                    return Some(format!("node {node} lacks acknowledged events of subject {of}"));
                }
                let version = answer.entry.version();
                let (other, known) = *first.get_or_insert((node, version));
                if known != version {
                    return Some(format!("nodes {other} and {node} show {known:?} and {version:?} of subject {of}"));
                }
            }
        }
        None
    }
}
