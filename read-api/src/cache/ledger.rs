//! The ledger: for each subject the newest version known to exist, from the feed and from loads, complete since its generation began.
//!
//! It is what makes a cached entry provable: an entry at or above the ledger's version, of the current generation, lacks nothing that
//! the last complete poll could have told. A fingerprint stands for a subject; a collision of two (one in 2^64) only makes an answer look
//! older than it is, never newer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

/// A stretch of time over which no change was missed. A new one begins when one may have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Generation(pub u64);

const SHARDS: usize = 64;

#[derive(Clone, Copy)]
struct Slot {
    fingerprint: u64,
    newest: Version,
}

/// See the module. About 20 bytes a subject.
pub struct Ledger {
    shards: [Mutex<HashTable<Slot>>; SHARDS],
    generation: AtomicU64,
    len: AtomicUsize,
    capacity: usize,
}

impl Ledger {
    /// An empty ledger for at most `capacity` subjects. The first generation is 0, in which nothing is followed yet.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            generation: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            capacity,
        }
    }

    /// The current generation.
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Begins a new generation: everything loaded before has to be loaded again.
    pub fn begin_generation(&self) -> Generation {
        Generation(self.generation.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// How many subjects it knows.
    pub fn entries(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it is over its capacity: it has to be [`Self::forget`]-ed.
    pub fn is_over_capacity(&self) -> bool {
        self.entries() > self.capacity
    }

    /// Forgets every version, and begins a new generation first, so that no entry is judged without the version that it may lack.
    pub fn forget(&self) {
        self.begin_generation();
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.len.fetch_sub(shard.len(), Ordering::Relaxed);
            *shard = HashTable::new();
        }
    }

    /// The newest version known of a subject; [`Version::ABSENT`] if none is.
    pub fn newest(&self, subject: SubjectId) -> Version {
        let fingerprint = subject.fingerprint();
        let shard = self.shard(fingerprint).lock();
        shard.find(fingerprint, |slot| slot.fingerprint == fingerprint).map_or(Version::ABSENT, |slot| slot.newest)
    }

    /// Notes that `version` of a subject exists, and runs `admit` if nothing newer is known. No one else can raise the subject's
    /// version meanwhile, so what `admit` puts into a cache is not older than anything that is there.
    pub fn raise(&self, subject: SubjectId, version: Version, admit: impl FnOnce()) {
        let fingerprint = subject.fingerprint();
        let mut shard = self.shard(fingerprint).lock();
        let same = |slot: &Slot| slot.fingerprint == fingerprint;
        match shard.find_mut(fingerprint, same) {
            Some(slot) if slot.newest > version => return,
            Some(slot) => slot.newest = version,
            None => {
                shard.insert_unique(fingerprint, Slot { fingerprint, newest: version }, |slot| slot.fingerprint);
                self.len.fetch_add(1, Ordering::Relaxed);
            }
        }
        admit();
    }

    fn shard(&self, fingerprint: u64) -> &Mutex<HashTable<Slot>> {
        // The table's own hashing uses the top and the low bits; the shard takes some from the middle.
        &self.shards[(fingerprint >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    #[test]
    fn versions_only_rise_and_admit_runs_for_the_newest_only() {
        let ledger = Ledger::new(10);
        let mut admitted = Vec::new();
        for version in [3, 2, 3, 5, 4] {
            ledger.raise(subject(1), Version(version), || admitted.push(version));
        }
        assert_eq!(admitted, [3, 3, 5]);
        assert_eq!((ledger.newest(subject(1)), ledger.newest(subject(2))), (Version(5), Version::ABSENT));
        assert_eq!(ledger.entries(), 1);
    }

    #[test]
    fn forgetting_ends_the_generation() {
        let ledger = Ledger::new(1);
        let generation = ledger.begin_generation();
        ledger.raise(subject(1), Version(1), || ());
        ledger.raise(subject(2), Version(1), || ());
        assert!(ledger.is_over_capacity());
        ledger.forget();
        assert_eq!((ledger.entries(), ledger.newest(subject(1))), (0, Version::ABSENT));
        assert_ne!(ledger.generation(), generation);
    }

    #[test]
    fn concurrent_raises_leave_the_highest() {
        let ledger = Ledger::new(100);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for n in 0..1_000u64 {
                        ledger.raise(subject((n % 7) as u8), Version(n * 4 + thread), || ());
                    }
                });
            }
        });
        let highest = (0..7u8).map(|n| ledger.newest(subject(n)).0).max().unwrap();
        assert_eq!((highest, ledger.entries()), (3_999, 7));
    }
}
