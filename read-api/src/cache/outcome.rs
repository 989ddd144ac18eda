//! What a look into the cache came to, in the words of metrics, headers and docs.

use metrics::Counter;
use tracing::Span;

/// The outcome of one look. Outcomes of a module add up to its requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Outcome {
    /// Proved and in memory.
    HitMemory,
    /// Proved and on disk.
    HitDisk,
    /// Loaded for this request.
    Miss,
    /// Loaded by another request that was waited for.
    Coalesced,
    /// Here, true of a moment longer ago than `max_lag` or before something that may have been missed.
    Stale,
    /// A proved absence, in memory.
    Negative,
    /// Loaded past what is held, because the request asked for that.
    Bypass,
    /// No answer: the store was not asked, to spare it.
    Throttled,
    /// No answer, or nobody there to take it any more.
    Error,
    /// A load behind a stale answer: no request of its own.
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

    /// Its name.
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

/// Counters of one cache module, made once.
pub(super) struct Outcomes {
    requests: [Counter; Outcome::ALL.len()],
}

impl Outcomes {
    pub fn new(module: &'static str) -> Self {
        let counter = |outcome: Outcome| {
            let name = if outcome == Outcome::Revalidated { "cache_loads_total" } else { "cache_requests_total" };
            metrics::counter!(name, "module" => module, "outcome" => outcome.as_str())
        };
        Self { requests: Outcome::ALL.map(counter) }
    }

    pub fn count(&self, outcome: Outcome) {
        self.requests[outcome as usize].increment(1);
    }

    /// A look that has to wait.
    pub fn look(&self) -> Look<'_> {
        Look { outcomes: self, outcome: Outcome::Error }
    }
}

/// A look under way. It is counted once, when it is dropped: as an error unless it came to something else, so also when its client has
/// gone away.
pub(super) struct Look<'a> {
    outcomes: &'a Outcomes,
    pub outcome: Outcome,
}

impl Look<'_> {
    /// It goes on in a look of its own.
    pub fn not_counted(self) {
        std::mem::forget(self); // there is nothing to free
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.outcomes.count(self.outcome);
        Span::current().record("cache.outcome", self.outcome.as_str());
    }
}
