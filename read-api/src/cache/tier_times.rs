//! How long each tier takes for one lookup: a histogram for memory, disk and store.

use std::cell::Cell;
use std::time::Instant;

use metrics::Histogram;

/// Of so many lookups in memory one is timed: two looks at the clock cost a tenth of an answer.
const TIMED_IN_MEMORY: u32 = 64;

/// Histograms by tier, registered once.
pub(super) struct TierTimes {
    memory: Histogram,
    disk: Histogram,
    store: Histogram,
}

impl Default for TierTimes {
    fn default() -> Self {
        let of = |tier| metrics::histogram!("cache_tier_duration_seconds", "tier" => tier);
        Self { memory: of("memory"), disk: of("disk"), store: of("store") }
    }
}

impl TierTimes {
    /// Looks in memory, and times one of [`TIMED_IN_MEMORY`] looks.
    pub fn memory<T>(&self, look: impl FnOnce() -> T) -> T {
        thread_local! {
            static LOOKS: Cell<u32> = const { Cell::new(0) };
        }
        let looks = LOOKS.get().wrapping_add(1);
        LOOKS.set(looks);
        if !looks.is_multiple_of(TIMED_IN_MEMORY) {
            return look();
        }
        let start = Instant::now();
        let found = look();
        self.memory.record(start.elapsed());
        found
    }

    /// One read of the disk tier that began at `start`, with the wait for a thread.
    pub fn record_disk(&self, start: Instant) {
        self.disk.record(start.elapsed());
    }

    /// One call of the store that began at `start`, with the wait for its turn; also one that failed.
    pub fn record_store(&self, start: Instant) {
        self.store.record(start.elapsed());
    }
}
