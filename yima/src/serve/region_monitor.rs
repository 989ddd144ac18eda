//! The region monitor on CQL, every few seconds: takes a process out of service whose region was retired, and reports
//! retired regions that have come back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use yima_service::lifecycle::Lifecycle;

use crate::store::ReadStore;

const EVERY: Duration = Duration::from_secs(1);
/// Looks at this region from one look at the others to the next.
const OTHERS_EVERY: u32 = 5;

/// Monitors the regions until the soft stop. The store has stopped by itself when its region was retired.
pub(super) fn monitor(store: ReadStore, lifecycle: &Lifecycle) {
    let readiness = lifecycle.readiness().clone();
    lifecycle.spawn_until_stop("region monitor", async move {
        let mut reported: BTreeMap<String, f64> = BTreeMap::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks: u32 = 0;
        loop {
            ticks.tick().await;
            let Some(store) = store.cql() else { continue };
            let is_retired = store.own_retirement().is_some();
            readiness.suspend("retired", is_retired);
            metrics::gauge!("region_retired").set(u8::from(is_retired));
            looks = looks.wrapping_add(1);
            if !looks.is_multiple_of(OTHERS_EVERY) {
                continue;
            }
            // Without the database the last values stand.
            let Ok(retired) = store.retired_regions().await else { continue };
            let now: BTreeMap<_, _> = retired.into_iter().map(|(name, up)| (name, up as f64)).collect();
            for gone in reported.keys().filter(|name| !now.contains_key(*name)) {
                metrics::gauge!("retired_region_nodes_up", "region" => gone.clone()).set(f64::NAN);
            }
            for (region, up) in &now {
                metrics::gauge!("retired_region_nodes_up", "region" => region.clone()).set(*up);
            }
            reported = now;
        }
    });
}
