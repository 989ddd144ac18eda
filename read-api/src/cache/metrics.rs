//! Sets the gauges of the cache before they are scraped.

use std::collections::BTreeSet;

use metrics::gauge;
use parking_lot::Mutex;

use super::ViewCache;
use super::circuit_breaker::BreakerState;
use super::tiers::TierSizes;

/// The regions whose lag has a gauge.
#[derive(Default)]
pub(super) struct ReportedRegions(Mutex<BTreeSet<String>>);

impl ViewCache {
    /// Sets the gauges. To be called before each scrape.
    pub(crate) fn report(&self) {
        let TierSizes { views, absences, ledger_entries, disk } = self.tiers.sizes();
        gauge!("cache_ledger_entries").set(ledger_entries as f64);
        gauge!("cache_generation").set(self.generation().0 as f64);
        gauge!("cache_memory_entries", "module" => "view").set(views as f64);
        gauge!("cache_memory_entries", "module" => "negative").set(absences as f64);
        gauge!("live_displays_open").set(self.subscriptions.open() as f64);
        gauge!("cache_loads").set(self.single_flight.count() as f64);
        gauge!("cache_breaker_state").set(match self.store.breaker_state() {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        });
        let (disk_entries, disk_bytes) = disk.unwrap_or_default();
        gauge!("cache_disk_up").set(if disk.is_some() { 1.0 } else { 0.0 });
        gauge!("cache_disk_entries").set(disk_entries as f64);
        gauge!("cache_disk_bytes").set(disk_bytes as f64);
        let now = (self.clock)();
        gauge!("cache_poll_lag_seconds").set(now.since(self.polled_at()).as_secs_f64());
        let regions = self.regions();
        for (region, as_of) in &regions.as_of {
            let lag = as_of.map_or(f64::INFINITY, |as_of| now.since(as_of).as_secs_f64());
            gauge!("cache_region_lag_seconds", "region" => region.clone()).set(lag);
        }
        // A retired region has no lag.
        let names: BTreeSet<String> = regions.as_of.iter().map(|(region, _)| region.clone()).collect();
        let mut reported = self.reported_regions.0.lock();
        for gone in reported.difference(&names) {
            gauge!("cache_region_lag_seconds", "region" => gone.clone()).set(f64::NAN);
        }
        *reported = names;
    }
}
