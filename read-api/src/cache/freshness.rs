//! What an entry may be used for: one pure function, whose table is in `docs/caching.md`.

use std::time::Duration;

use yima_schema::time::Time;
use yima_schema::view::Version;

use super::ledger::Generation;

/// What is known of a cached entry.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Its version.
    pub version: Version,
    /// The generation in which its load began or its feed row was read.
    pub generation: Generation,
    /// When that was: everything acknowledged before is in it.
    pub loaded_at: Time,
}

/// What is known beside the entry.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The newest version of the subject that the ledger knows to exist.
    pub newest: Version,
    /// The generation that is being followed.
    pub generation: Generation,
    /// When its last complete poll began.
    pub polled_at: Time,
    /// The version that the client was shown before: it must not go back.
    pub client: Version,
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
    /// Superseded, older than what the client has seen, or too old: never answer with it.
    MustLoad,
}

/// Decides. An entry whose generation is another than the current one is never used: changes may have been missed since.
pub fn judge(held: Held, known: Known, bounds: Bounds, now: Time) -> Freshness {
    if held.generation != known.generation || held.version < known.newest || held.version < known.client {
        return Freshness::MustLoad;
    }
    // Moments that have not come yet were noted by a clock that has been set back since: they prove nothing. A little ahead is only
    // a `now` that was read before them.
    let latest = now.plus(bounds.max_lag);
    if held.loaded_at > latest {
        return Freshness::MustLoad;
    }
    let as_of = if known.polled_at > latest { held.loaded_at } else { held.loaded_at.max(known.polled_at) };
    match now.since(as_of) {
        age if age <= bounds.max_lag => Freshness::Fresh { as_of },
        age if age <= bounds.max_stale => Freshness::Stale { as_of },
        _ => Freshness::MustLoad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_lag: Duration::from_secs(2), max_stale: Duration::from_secs(86_400) };

    /// (version, newest, client, same generation, loaded at, polled at, now) → what.
    #[test]
    fn the_table_in_the_docs_holds() {
        let t = Time::from_secs;
        let fresh = |s| Freshness::Fresh { as_of: t(s) };
        let stale = |s| Freshness::Stale { as_of: t(s) };
        let rows = [
            ((7, 7, 0, true, 10, 100, 101), fresh(100)),
            ((7, 7, 7, true, 10, 100, 102), fresh(100)),
            ((7, 5, 0, true, 10, 100, 103), stale(100)),
            ((7, 7, 0, true, 102, 100, 103), fresh(102)),
            ((7, 8, 0, true, 10, 100, 101), Freshness::MustLoad),
            ((7, 7, 8, true, 10, 100, 101), Freshness::MustLoad),
            ((7, 7, 0, false, 10, 100, 101), Freshness::MustLoad),
            ((7, 7, 0, true, 10, 100, 100 + 86_400), stale(100)),
            ((7, 7, 0, true, 10, 100, 101 + 86_400), Freshness::MustLoad),
            ((0, 0, 0, true, 10, 100, 101), fresh(100)),
            ((7, 7, 0, true, 10, 100, 99), fresh(100)),
            ((7, 7, 0, true, 10, 4_000, 101), stale(10)),
            ((7, 7, 0, true, 4_000, 100, 101), Freshness::MustLoad),
        ];
        for ((version, newest, client, same, loaded, polled, now), expected) in rows {
            let generation = Generation(u64::from(!same));
            let held = Held { version: Version(version), generation, loaded_at: t(loaded) };
            let known = Known {
                newest: Version(newest),
                generation: Generation(0),
                polled_at: t(polled),
                client: Version(client),
            };
            assert_eq!(judge(held, known, BOUNDS, t(now)), expected, "{held:?} {known:?} at {now}");
        }
    }
}
