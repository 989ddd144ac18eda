//! The freshness of an entry: one pure function, whose table is in `docs/caching.md`.

use std::time::Duration;

use yima_schema::time::Time;
use yima_schema::view::Version;

use super::generations::{Generation, Proof};
use crate::config::CacheConfig;

/// Where a cached entry comes from. Its freshness is judged by this.
#[derive(Clone, Copy, Debug)]
pub struct Provenance {
    /// The version of the view; [`Version::ABSENT`] for a negative entry.
    pub version: Version,
    /// The generation in which its load began or its change was read.
    pub generation: Generation,
    /// When its load began or its change was read: everything acknowledged before is in the entry.
    pub loaded_at: Time,
}

/// The inputs of the judgement besides the entry's own provenance.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessInputs {
    /// The newest version of the subject that is known to exist.
    pub newest: Version,
    /// The proof for the entry's generation.
    pub proof: Proof,
    /// The lowest version that this client may be answered with: the one it was shown before.
    pub floor: Version,
    /// Whether the entry was loaded from the store for this very answer.
    pub just_loaded: bool,
}

/// Bounds on the age of an answer; see `docs/configuration.md`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// An answer whose `as_of` is at most this old is fresh.
    pub max_lag: Duration,
    /// An answer whose `as_of` is older than this is never given.
    pub max_stale: Duration,
    /// Another region whose moment is older than this is silent; zero: none ever is.
    pub max_region_lag: Duration,
}

impl Bounds {
    /// The bounds that the settings give.
    pub fn new(config: &CacheConfig) -> Self {
        Self { max_lag: config.max_lag, max_stale: config.max_stale, max_region_lag: config.max_region_lag }
    }
}

/// What an entry may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Proved current, with an `as_of` within `max_lag`: answer with it.
    Fresh {
        /// The moment of which the entry is true.
        as_of: Time,
    },
    /// Not known to be superseded, but its `as_of` is older: answer with it, marked stale, and refresh it in the
    /// background.
    Stale {
        /// The moment of which the entry is true.
        as_of: Time,
    },
    /// Superseded, below the floor, too old, or a negative entry that is not fresh: never answer with it.
    MustLoad,
}

/// Decides what `entry` may be used for at `now`.
pub fn judge(entry: Provenance, inputs: FreshnessInputs, bounds: Bounds, now: Time) -> Freshness {
    if entry.version < inputs.newest || entry.version < inputs.floor {
        return Freshness::MustLoad;
    }
    // A moment later than this was noted by a clock that has been set back since, and proves nothing. A moment only a
    // little after `now` is one that was noted after `now` was read.
    let latest = now.plus(bounds.max_lag);
    let (polled_at, followed) = match inputs.proof {
        Proof::Followed(at) => (at, true),
        Proof::Ended(at) => (at, false),
        Proof::Unknown => return Freshness::MustLoad,
    };
    if entry.loaded_at > latest {
        return Freshness::MustLoad;
    }
    let as_of = if polled_at > latest { entry.loaded_at } else { entry.loaded_at.max(polled_at) };
    match now.since(as_of) {
        age if followed && age <= bounds.max_lag => Freshness::Fresh { as_of },
        // A subject is never reported absent only because the store cannot be reached.
        _ if entry.version == Version::ABSENT && !inputs.just_loaded => Freshness::MustLoad,
        age if age <= bounds.max_stale => Freshness::Stale { as_of },
        _ => Freshness::MustLoad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_lag: Duration::from_secs(2),
        max_stale: Duration::from_secs(86_400),
        max_region_lag: Duration::from_secs(60),
    };

    /// (version, newest, floor, loaded at, proof, now) → freshness.
    #[test]
    fn the_table_in_the_docs_holds() {
        use Proof::{Ended, Followed, Unknown};
        let t = Time::from_secs;
        let fresh = |s| Freshness::Fresh { as_of: t(s) };
        let stale = |s| Freshness::Stale { as_of: t(s) };
        let polled = |s| Followed(t(s));
        let rows = [
            ((7, 7, 0, 10, polled(100), 101), fresh(100)),
            ((7, 7, 7, 10, polled(100), 102), fresh(100)),
            ((7, 5, 0, 10, polled(100), 103), stale(100)),
            ((7, 7, 0, 102, polled(100), 103), fresh(102)),
            ((7, 8, 0, 10, polled(100), 101), Freshness::MustLoad),
            ((7, 7, 8, 10, polled(100), 101), Freshness::MustLoad),
            ((7, 7, 0, 10, polled(100), 100 + 86_400), stale(100)),
            ((7, 7, 0, 10, polled(100), 101 + 86_400), Freshness::MustLoad),
            ((0, 0, 0, 10, polled(100), 101), fresh(100)),
            ((0, 0, 0, 10, polled(100), 103), Freshness::MustLoad),
            ((0, 0, 0, 100, Ended(t(100)), 101), Freshness::MustLoad),
            ((7, 7, 0, 10, polled(100), 99), fresh(100)),
            ((7, 7, 0, 10, polled(4_000), 101), stale(10)),
            ((7, 7, 0, 4_000, polled(100), 101), Freshness::MustLoad),
            ((7, 7, 0, 10, Ended(t(100)), 101), stale(100)),
            ((7, 7, 0, 100, Ended(t(10)), 101), stale(100)),
            ((7, 7, 0, 10, Ended(t(100)), 101 + 86_400), Freshness::MustLoad),
            ((7, 8, 0, 10, Ended(t(100)), 101), Freshness::MustLoad),
            ((7, 7, 8, 10, Ended(t(100)), 101), Freshness::MustLoad),
            ((7, 7, 0, 100, Unknown, 101), Freshness::MustLoad),
        ];
        for ((version, newest, floor, loaded, proof, now), expected) in rows {
            let entry = Provenance { version: Version(version), generation: Generation(0), loaded_at: t(loaded) };
            let inputs = FreshnessInputs { newest: Version(newest), proof, floor: Version(floor), just_loaded: false };
            assert_eq!(judge(entry, inputs, BOUNDS, t(now)), expected, "{entry:?} {inputs:?} at {now}");
        }
        // With a clock ahead of the store's, an entry that was just loaded is not fresh.
        let entry = Provenance { version: Version::ABSENT, generation: Generation(0), loaded_at: t(10) };
        let inputs =
            FreshnessInputs { newest: Version::ABSENT, proof: polled(10), floor: Version::ABSENT, just_loaded: true };
        assert_eq!(judge(entry, inputs, BOUNDS, t(103)), stale(10));
    }
}
