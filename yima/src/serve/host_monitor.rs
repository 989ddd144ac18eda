//! What a process notices about its machine, once a second: room on its disk, a store that stopped, jumps of the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use yima_service::clock::{Jumps, now};
use yima_service::disk_space::DiskSpace;
use yima_service::lifecycle::Lifecycle;
use yima_store::embedded::EmbeddedStore;

use crate::store::Store;

const EVERY: Duration = Duration::from_secs(1);
/// A file system that has not answered for so long does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches until the soft stop.
pub(super) fn watch(room: &Arc<DiskSpace>, store: &Store, lifecycle: &Lifecycle) {
    let embedded: Option<Arc<EmbeddedStore>> = match store {
        Store::Embedded(store) => Some(store.clone()),
        Store::Cql(_) | Store::Deferred(_) => None,
    };
    let (room, readiness) = (Arc::clone(room), lifecycle.readiness().clone());
    lifecycle.spawn_until_stop("watch", async move {
        let mut jumps = Jumps::new(now(), Instant::now());
        let look = || {
            let room = Arc::clone(&room);
            (tokio::task::spawn_blocking(move || room.measure()), Instant::now())
        };
        let (mut looking, mut since) = look();
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            jumps.check(now(), Instant::now());
            if looking.is_finished() {
                (looking, since) = look();
            } else if since.elapsed() > PATIENCE {
                room.mark_unknown();
            }
            readiness.degrade("disk", room.is_low());
            if let Some(store) = &embedded {
                let takes_writes = store.takes_writes();
                metrics::gauge!("store_takes_writes").set(u8::from(takes_writes));
                readiness.degrade("store", !takes_writes);
            }
        }
    });
}
