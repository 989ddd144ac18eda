//! What an entry may be used for: one pure function, whose table is in `docs/caching.md`.

use std::time::Duration;

use yima_schema::time::Time;
use yima_schema::view::Version;

use super::generations::Generation;

/// What is known of a cached entry.
#[derive(Clone, Copy, Debug)]
pub struct Provenance {
    /// Its version.
    pub version: Version,
    /// The generation in which its load began or its feed row was read.
    pub generation: Generation,
    /// When that was: everything acknowledged before is in it.
    pub loaded_at: Time,
}

/// What is known beside the entry.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessInputs {
    /// The newest version of the subject that is known to exist.
    pub newest: Version,
    /// What proves entries of the entry's generation.
    pub proof: Proof,
    /// The version that the client was shown before: it must not go back.
    pub client: Version,
    /// The entry was read from the store for this very answer.
    pub just_read: bool,
}

/// What the feed says of everything that was learned in one generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// It is being followed: nothing was missed until its last complete poll, which began then.
    Followed(Time),
    /// It was followed once, and something may have been missed since its last complete poll, which began then.
    Ended(Time),
    /// Nothing is known of it.
    Unknown,
}

/// Bounds; see `docs/configuration.md`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// An answer true of a moment no longer ago than this is fresh.
    pub max_lag: Duration,
    /// An answer true of a moment longer ago than this is not given.
    pub max_stale: Duration,
}

/// What may be done with an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Proved, and true of a moment within `max_lag`: answer with it.
    Fresh {
        /// The moment.
        as_of: Time,
    },
    /// Not known to be superseded, but its moment is longer ago: answer with it, marked, and load behind.
    Stale {
        /// The moment.
        as_of: Time,
    },
    /// Superseded, older than what the client has seen, too old, or an absence that is not fresh: never answer with it.
    MustLoad,
}

/// Decides.
pub fn judge(held: Provenance, known: FreshnessInputs, bounds: Bounds, now: Time) -> Freshness {
    if held.version < known.newest || held.version < known.client {
        return Freshness::MustLoad;
    }
    // Moments that have not come yet were noted by a clock that has been set back since: they prove nothing. A little ahead is only
    // a `now` that was read before them.
    let latest = now.plus(bounds.max_lag);
    let (polled_at, followed) = match known.proof {
        Proof::Followed(at) => (at, true),
        Proof::Ended(at) => (at, false),
        Proof::Unknown => return Freshness::MustLoad,
    };
    if held.loaded_at > latest {
        return Freshness::MustLoad;
    }
    let as_of = if polled_at > latest { held.loaded_at } else { held.loaded_at.max(polled_at) };
    match now.since(as_of) {
        age if followed && age <= bounds.max_lag => Freshness::Fresh { as_of },
        // Nobody is told to be unknown because the store cannot be asked.
        _ if held.version == Version::ABSENT && !known.just_read => Freshness::MustLoad,
        age if age <= bounds.max_stale => Freshness::Stale { as_of },
        _ => Freshness::MustLoad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_lag: Duration::from_secs(2), max_stale: Duration::from_secs(86_400) };

    /// (version, newest, client, loaded at, proof, now) → what.
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
        for ((version, newest, client, loaded, proof, now), expected) in rows {
            let held = Provenance { version: Version(version), generation: Generation(0), loaded_at: t(loaded) };
            let known = FreshnessInputs { newest: Version(newest), proof, client: Version(client), just_read: false };
            assert_eq!(judge(held, known, BOUNDS, t(now)), expected, "{held:?} {known:?} at {now}");
        }
        // With a clock that is ahead of the store's, what was read just now is not fresh.
        let held = Provenance { version: Version::ABSENT, generation: Generation(0), loaded_at: t(10) };
        let known =
            FreshnessInputs { newest: Version::ABSENT, proof: polled(10), client: Version::ABSENT, just_read: true };
        assert_eq!(judge(held, known, BOUNDS, t(103)), stale(10));
    }
}
