//! The ledger: the newest version known to exist of each subject that was loaded or changed lately.
//!
//! It keeps a slow load from bringing an old view back: every admission compares its version with the ledger first, one
//! subject at a time. A tier therefore never holds a version older than the newest one this node knows, and the ledger
//! has to remember a subject only as long as a load may be under way that began before the newest version was known. A
//! fingerprint stands for a subject; a collision of two (one in 2^64) only makes an entry look older than it is, never
//! newer.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

const SHARDS: usize = 64;

#[derive(Clone, Copy)]
struct Line {
    fingerprint: u64,
    newest: Version,
}

/// The lines of a shard in two tables: when the young one is full, the old one is dropped and the young one takes its
/// place.
#[derive(Default)]
struct Lines {
    young: HashTable<Line>,
    old: HashTable<Line>,
}

#[derive(Default)]
struct Shard {
    admission: Mutex<()>,
    lines: Mutex<Lines>,
}

/// The newest known versions by subject, in about 20 bytes a subject.
pub struct Ledger {
    shards: [Shard; SHARDS],
    entries: AtomicUsize,
    /// Largest number of lines in a shard's young table.
    young_capacity: usize,
}

impl Ledger {
    /// An empty ledger for about `capacity` subjects: more than can change within the time that a load may take.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            entries: AtomicUsize::new(0),
            young_capacity: (capacity / SHARDS / 2).max(1),
        }
    }

    /// Number of subjects that it remembers.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// The newest known version of a subject; [`Version::ABSENT`] if none is known.
    pub fn newest(&self, subject: SubjectId) -> Version {
        let fingerprint = subject.fingerprint();
        self.shard(fingerprint).lines.lock().newest(fingerprint)
    }

    /// Locks the subject's admission: the holder is the only one to change the subject's entry in any tier. It may be
    /// held while waiting for the disk, so lookups never take it.
    pub fn lock_admission(&self, subject: SubjectId) -> MutexGuard<'_, ()> {
        self.shard(subject.fingerprint()).admission.lock()
    }

    /// Records that `version` of a subject exists, and runs `admit` unless a newer version is known. No lookup sees one
    /// without the other.
    pub fn raise(&self, subject: SubjectId, version: Version, admit: impl FnOnce()) {
        let fingerprint = subject.fingerprint();
        let mut lines = self.shard(fingerprint).lines.lock();
        if lines.newest(fingerprint) > version {
            return;
        }
        let before = lines.len();
        lines.record(Line { fingerprint, newest: version }, self.young_capacity);
        // Wrapping: there may be fewer lines than before.
        self.entries.fetch_add(lines.len().wrapping_sub(before), Ordering::Relaxed);
        admit();
    }

    fn shard(&self, fingerprint: u64) -> &Shard {
        // The tables' own hashing uses the top and the low bits; the shard takes some from the middle.
        &self.shards[(fingerprint >> 32) as usize % SHARDS]
    }
}

impl Lines {
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn newest(&self, fingerprint: u64) -> Version {
        let same = |line: &Line| line.fingerprint == fingerprint;
        let line = self.young.find(fingerprint, same).or_else(|| self.old.find(fingerprint, same));
        line.map_or(Version::ABSENT, |line| line.newest)
    }

    fn record(&mut self, line: Line, capacity: usize) {
        if let Some(recorded) = self.young.find_mut(line.fingerprint, |other| other.fingerprint == line.fingerprint) {
            *recorded = line;
            return;
        }
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert_unique(line.fingerprint, line, |line| line.fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: u64) -> SubjectId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        SubjectId::from_bytes(bytes)
    }

    #[test]
    fn versions_only_rise_and_only_the_newest_is_admitted() {
        let ledger = Ledger::new(1_000);
        let mut admitted = Vec::new();
        for version in [3, 2, 3, 5, 4] {
            ledger.raise(subject(1), Version(version), || admitted.push(version));
        }
        assert_eq!(admitted, [3, 3, 5]);
        assert_eq!((ledger.newest(subject(1)), ledger.newest(subject(2))), (Version(5), Version::ABSENT));
        assert_eq!(ledger.entries(), 1);
    }

    #[test]
    fn over_capacity_the_oldest_lines_are_dropped() {
        // All in one shard, whose young table has room for two lines.
        let ledger = Ledger::new(4 * SHARDS);
        for n in 1..=5 {
            ledger.raise(subject(n), Version(n), || ());
        }
        let known = (1..=5).map(|n| ledger.newest(subject(n)).0).collect::<Vec<_>>();
        assert_eq!((known, ledger.entries()), (vec![0, 0, 3, 4, 5], 3));
        // A line that is recorded again is young again.
        ledger.raise(subject(3), Version(6), || ());
        ledger.raise(subject(6), Version(6), || ());
        assert_eq!((ledger.newest(subject(3)), ledger.newest(subject(4))), (Version(6), Version::ABSENT));
    }

    #[test]
    fn concurrent_raises_leave_the_highest() {
        let ledger = Ledger::new(10_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for n in 0..1_000u64 {
                        ledger.raise(subject(n % 7), Version(n * 4 + thread), || ());
                    }
                });
            }
        });
        let highest = (0..7).map(|n| ledger.newest(subject(n)).0).max().unwrap();
        assert_eq!((highest, ledger.entries()), (3_999, 7));
    }
}
