//! Outcomes of lookups, under the names that metrics, headers and docs use.

use metrics::Counter;
use tracing::Span;

/// The outcome of one lookup. The counts of all outcomes add up to the number of lookups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Outcome {
    /// Answered by a fresh entry in memory.
    HitMemory,
    /// Answered by a fresh entry of the disk tier.
    HitDisk,
    /// Answered by a load of its own.
    Miss,
    /// Answered by a load that another request had started.
    Coalesced,
    /// Answered by a cached entry whose `as_of` is older than `max_lag`, or after which a change may have been missed.
    Stale,
    /// Answered by a negative entry in memory.
    Negative,
    /// Answered by a load because the request bypassed the cache.
    Bypass,
    /// No answer: the store was not called, to spare it.
    Throttled,
    /// No answer for another reason, or the client went away before it.
    Error,
    /// A refresh in the background of a stale answer; not the outcome of a lookup.
    Revalidated,
}

impl Outcome {
    const ALL: [Self; 10] = [
        Self::HitMemory,
        Self::HitDisk,
        Self::Miss,
        Self::Coalesced,
        Self::Stale,
        Self::Negative,
        Self::Bypass,
        Self::Throttled,
        Self::Error,
        Self::Revalidated,
    ];

    /// The name in metrics and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HitMemory => "hit_memory",
            Self::HitDisk => "hit_disk",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Negative => "negative",
            Self::Bypass => "bypass",
            Self::Throttled => "throttled",
            Self::Error => "error",
            Self::Revalidated => "revalidated",
        }
    }
}

/// Counters of one cache module by outcome, registered once.
pub(super) struct Outcomes {
    counters: [Counter; Outcome::ALL.len()],
}

impl Outcomes {
    pub fn new(module: &'static str) -> Self {
        let counter = |outcome: Outcome| {
            let name = if outcome == Outcome::Revalidated { "cache_loads_total" } else { "cache_requests_total" };
            metrics::counter!(name, "module" => module, "outcome" => outcome.as_str())
        };
        Self { counters: Outcome::ALL.map(counter) }
    }

    pub fn count(&self, outcome: Outcome) {
        self.counters[outcome as usize].increment(1);
    }

    /// The outcome of a lookup that has to wait.
    pub fn pending(&self) -> PendingOutcome<'_> {
        PendingOutcome { outcomes: self, outcome: Outcome::Error }
    }
}

/// The outcome of a lookup under way. Counted once, when it is dropped: as an error unless another outcome was set, so
/// also when the client goes away.
pub(super) struct PendingOutcome<'a> {
    outcomes: &'a Outcomes,
    pub outcome: Outcome,
}

impl PendingOutcome<'_> {
    /// Counts nothing, since another lookup goes on in place of this one.
    pub fn discard(self) {
        std::mem::forget(self); // owns nothing
    }
}

impl Drop for PendingOutcome<'_> {
    fn drop(&mut self) {
        self.outcomes.count(self.outcome);
        Span::current().record("cache.outcome", self.outcome.as_str());
    }
}
