//! Codes that more than one holder shows: one token with two proofs for one moment, which one phone does not make, or a
//! print that is scanned faster than a person can walk. They raise a counter; the scan's answer stays the same. What is
//! kept is in memory, for as long as later codes leave it its place, and says neither who nor where.

use parking_lot::Mutex;
use yima_schema::code::ShownBy;
use yima_schema::time::Time;

/// Places of recent codes, about 4 MB. With 4,000 scans a second each keeps its place for about a minute, as long as it
/// can be shown.
const PLACES: usize = 1 << 18;
/// Groups of places with a lock each.
const SHARDS: usize = 64;
/// Scans of one print in a minute on one node, of which each asks for the identity document.
const PRINTS_A_MINUTE: u64 = 10;

/// What a code shows, and a value to compare.
type Place = (u64, u64);

/// The codes that this node has scanned recently.
pub(crate) struct Copies {
    places: Vec<Mutex<Box<[Place]>>>,
}

impl Default for Copies {
    fn default() -> Self {
        for kind in ["phone", "paper"] {
            metrics::counter!("codes_copied_total", "kind" => kind).increment(0);
        }
        Self { places: (0..SHARDS).map(|_| Mutex::new(vec![(0, 0); PLACES / SHARDS].into())).collect() }
    }
}

impl Copies {
    /// Counts a genuine code if it was shown by more than one holder.
    pub(crate) fn note(&self, shown_by: ShownBy, now: Time) {
        let kind = match shown_by {
            ShownBy::Phone { token, at, proof, .. } if self.is_second_proof(token, at, proof) => "phone",
            ShownBy::Paper { number, .. } if self.is_too_often(number, now) => "paper",
            ShownBy::Phone { .. } | ShownBy::Paper { .. } | ShownBy::Nothing => return,
        };
        metrics::counter!("codes_copied_total", "kind" => kind).increment(1);
    }

    fn is_second_proof(&self, token: u64, at: Time, proof: u64) -> bool {
        let moment = token ^ (at.as_secs() as u64).rotate_left(32);
        self.replace(moment, |before| (before.is_some_and(|before| before != proof), proof))
    }

    fn is_too_often(&self, number: u64, now: Time) -> bool {
        let minute = now.as_secs().div_euclid(60) as u64;
        self.replace(number, |before| {
            let count = before.filter(|before| before >> 16 == minute).map_or(0, |before| before & 0xffff) + 1;
            (count == PRINTS_A_MINUTE, minute << 16 | count.min(0xffff))
        })
    }

    /// Replaces the value of a key, and returns what is to be known of the one before: none if the key has lost its
    /// place.
    fn replace(&self, key: u64, change: impl FnOnce(Option<u64>) -> (bool, u64)) -> bool {
        // Keys are of tokens' seals and of random numbers, which nobody can choose.
        let mut shard = self.places[(key >> 32) as usize % SHARDS].lock();
        let place = key as usize % shard.len();
        let (found, value) = change(Some(shard[place]).filter(|(before, _)| *before == key).map(|(_, value)| value));
        shard[place] = (key, value);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_proof_of_one_moment_is_a_copy_and_the_same_or_a_later_one_is_none() {
        let copies = Copies::default();
        let at = Time::from_secs(1_000);
        let second = |token, at, proof| copies.is_second_proof(token, at, proof);
        assert!(!second(7, at, 1) && !second(7, at, 1), "scanned twice");
        assert!(!second(7, Time::from_secs(1_015), 2) && !second(8, at, 3));
        assert!(second(7, at, 2) && !second(7, at, 2));
    }

    #[test]
    fn a_print_is_counted_once_in_each_minute_in_which_it_is_scanned_too_often() {
        let copies = Copies::default();
        let found = |from, scans| (0..scans).filter(|_| copies.is_too_often(9, Time::from_secs(from))).count();
        assert_eq!([found(0, 9), found(59, 30), found(60, 9), found(120, 12)], [0, 1, 0, 1]);
    }
}
