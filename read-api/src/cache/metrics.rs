//! Sets the gauges of the cache before they are scraped.

use metrics::gauge;

use super::ViewCache;
use super::circuit_breaker::BreakerState;
use super::tiers::TierSizes;

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
        for (region, as_of) in &self.regions().as_of {
            let lag = as_of.map_or(f64::INFINITY, |as_of| now.since(as_of).as_secs_f64());
            gauge!("cache_region_lag_seconds", "region" => region.clone()).set(lag);
        }
    }
}
