//! The host monitor, once a second: disk space, an embedded store that takes no more writes, jumps of the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use yima_service::clock::{Jumps, now};
use yima_service::disk_space::DiskSpace;
use yima_service::lifecycle::Lifecycle;
use yima_store::embedded::EmbeddedStore;

const EVERY: Duration = Duration::from_secs(1);
/// After this long without an answer the file system counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(5);

/// Monitors the host until the soft stop.
pub(super) fn monitor(disk_space: &Arc<DiskSpace>, embedded: Option<Arc<EmbeddedStore>>, lifecycle: &Lifecycle) {
    let (disk_space, readiness) = (Arc::clone(disk_space), lifecycle.readiness().clone());
    lifecycle.spawn_until_stop("host monitor", async move {
        let mut jumps = Jumps::new(now(), Instant::now());
        // A hung file system blocks the thread that measures it, so measuring never blocks this task.
        let measure = || {
            let disk_space = Arc::clone(&disk_space);
            (tokio::task::spawn_blocking(move || disk_space.measure()), Instant::now())
        };
        let (mut measuring, mut since) = measure();
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            jumps.check(now(), Instant::now());
            if measuring.is_finished() {
                (measuring, since) = measure();
            } else if since.elapsed() > HUNG_AFTER {
                disk_space.mark_unknown();
            }
            readiness.degrade("disk", disk_space.is_low());
            if let Some(store) = &embedded {
                let takes_writes = store.takes_writes();
                metrics::gauge!("store_takes_writes").set(u8::from(takes_writes));
                readiness.degrade("store", !takes_writes);
            }
        }
    });
}
