//! What a look into the cache came to, in the words of metrics, headers and docs.

use metrics::Counter;

/// The outcome of one look. Outcomes of a module add up to its requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Outcome {
    /// Proved and in memory.
    HitMemory,
    /// Loaded for this request.
    Miss,
    /// Loaded by another request that was waited for.
    Coalesced,
    /// In memory, true of a moment longer ago than `max_lag`.
    Stale,
    /// A proved absence, in memory.
    Negative,
    /// No answer.
    Error,
    /// A load behind a stale answer: no request of its own.
    Revalidated,
}

impl Outcome {
    const ALL: [Self; 7] =
        [Self::HitMemory, Self::Miss, Self::Coalesced, Self::Stale, Self::Negative, Self::Error, Self::Revalidated];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HitMemory => "hit_memory",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Negative => "negative",
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
}
