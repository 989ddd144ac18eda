//! The gauges of the cache.

use super::ViewCache;
use super::circuit_breaker::BreakerState;

impl ViewCache {
    /// Sets the gauges. To be called before they are read.
    pub fn report(&self) {
        let (present, absent) = self.memory.entries();
        metrics::gauge!("cache_ledger_entries").set(self.ledger.entries() as f64);
        metrics::gauge!("cache_generation").set(self.generation().0 as f64);
        metrics::gauge!("cache_memory_entries", "module" => "view").set(present as f64);
        metrics::gauge!("cache_memory_entries", "module" => "negative").set(absent as f64);
        metrics::gauge!("live_displays_open").set(self.watchers.open() as f64);
        metrics::gauge!("cache_loads").set(self.loads.under_way() as f64);
        metrics::gauge!("cache_breaker_state").set(match self.loads.breaker() {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        });
        let disk = self.disk();
        metrics::gauge!("cache_disk_up").set(if disk.is_some() { 1.0 } else { 0.0 });
        metrics::gauge!("cache_disk_entries").set(disk.as_ref().map_or(0, |disk| disk.entries()) as f64);
        metrics::gauge!("cache_disk_bytes").set(disk.as_ref().map_or(0, |disk| disk.bytes()) as f64);
        metrics::gauge!("cache_poll_lag_seconds").set((self.clock)().since(self.polled_at()).as_secs_f64());
        for (region, as_of) in &self.regions.load().as_of {
            let lag = as_of.map_or(f64::INFINITY, |as_of| (self.clock)().since(as_of).as_secs_f64());
            metrics::gauge!("cache_region_lag_seconds", "region" => region.clone()).set(lag);
        }
    }
}
