//! Faults, drawn from the seed.

use std::sync::Arc;

use super::{Engine, World};
use crate::chance;
use crate::clock::{self, ms, wait};
use crate::network::{self, REPLICAS, Weather};

/// Whose clocks may be ahead: an answer's moment is the earlier of two clocks, so both would be too many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Nobody,
    Nodes,
    Database,
}

impl World {
    /// Makes faults until the end of the run; in one run of eight none at all.
    pub(super) async fn make_faults(self: Arc<Self>, end: u64) {
        if chance::one_in(8) {
            return;
        }
        let pause = chance::pick(&[100, 500, 2_000, 5_000]);
        let ahead = chance::pick(&[Ahead::Nobody, Ahead::Nodes, Ahead::Database]);
        network::set_weather(weather());
        while ms() < end {
            wait(chance::between(pause / 4, pause * 2)).await;
            *self.faults.lock() += 1;
            let nodes = self.nodes.lock().len();
            let node = chance::below(nodes as u64) as usize;
            let process = Arc::clone(&self.nodes.lock()[node].process);
            match chance::below(8) {
                0 | 1 if process.is_dead() => {}
                0 | 1 => {
                    self.kill(node);
                    let world = Arc::clone(&self);
                    let back_in = chance::pick(&[20, 300, 3_000, 8_000]);
                    drop(tokio::spawn(async move {
                        wait(chance::between(back_in / 2, back_in)).await;
                        if world.nodes.lock()[node].process.is_dead() {
                            world.restart(node);
                        }
                    }));
                }
                2 => process.pause(ms() + lasting()),
                3 => process.cut(ms() + lasting()),
                4 => network::set_weather(weather()),
                5 => {
                    let replica = chance::below(REPLICAS as u64) as usize;
                    network::set_down(replica, ms() + lasting());
                }
                6 => clock::set_ahead(node, offset(ahead == Ahead::Nodes || self.engine == Engine::Embedded)),
                _ if self.setting.database_clocks => {
                    let replica = chance::below(REPLICAS as u64) as usize;
                    network::set_replica_ahead(replica, offset(ahead == Ahead::Database));
                }
                _ => {}
            }
        }
    }
}

fn lasting() -> u64 {
    let most = chance::pick(&[50, 500, 2_500, 6_000]);
    chance::between(most / 4, most)
}

fn weather() -> Weather {
    Weather {
        delay_ms: chance::pick(&[1, 3, 10, 60]),
        lost: chance::pick(&[0, 0, 30, 300]),
        late: chance::pick(&[0, 0, 20, 200]),
        stuck: chance::pick(&[0, 10, 100]),
    }
}

fn offset(may_be_ahead: bool) -> i64 {
    let by = chance::pick(&[0, 40, 900, 3_000, 600_000]);
    if may_be_ahead && chance::one_in(2) { by } else { -by }
}
