//! The ledger: for each subject of whom something was learned lately, the newest version known to exist, from the feed and from loads.
//!
//! It is what keeps a slow load from bringing an old view back: whatever goes into a tier is compared with it first, one subject at a
//! time. What the tiers hold is therefore the newest that is known of whom they hold, and a line is needed only as long as a load can be
//! under way that began before it. A fingerprint stands for a subject; a collision of two (one in 2^64) only makes an answer look older
//! than it is, never newer.

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

/// The lines of a shard in two tables: when the younger is full, the older one is dropped and the younger takes its place.
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

/// See the module. About 20 bytes a line.
pub struct Ledger {
    shards: [Shard; SHARDS],
    entries: AtomicUsize,
    /// Lines that a shard's young table may have.
    young: usize,
}

impl Ledger {
    /// An empty ledger for about `capacity` lines. It has to hold more than what can change within the time that a load may take.
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            entries: AtomicUsize::new(0),
            young: (capacity / SHARDS / 2).max(1),
        }
    }

    /// How many lines it has.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// The newest version known of a subject; [`Version::ABSENT`] if none is.
    pub fn newest(&self, subject: SubjectId) -> Version {
        let fingerprint = subject.fingerprint();
        self.shard(fingerprint).lines.lock().newest(fingerprint)
    }

    /// Nobody else puts anything about the subject into a tier as long as this is held. It may be held while a disk is waited for, so
    /// readers never take it.
    pub fn admission(&self, subject: SubjectId) -> MutexGuard<'_, ()> {
        self.shard(subject.fingerprint()).admission.lock()
    }

    /// Notes that `version` of a subject exists, and runs `admit` if nothing newer is known: no reader sees the one without the other.
    pub fn raise(&self, subject: SubjectId, version: Version, admit: impl FnOnce()) {
        let fingerprint = subject.fingerprint();
        let mut lines = self.shard(fingerprint).lines.lock();
        if lines.newest(fingerprint) > version {
            return;
        }
        let before = lines.len();
        lines.note(Line { fingerprint, newest: version }, self.young);
        // Modulo 2^64: it may be fewer than before.
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

    fn note(&mut self, line: Line, capacity: usize) {
        if let Some(noted) = self.young.find_mut(line.fingerprint, |other| other.fingerprint == line.fingerprint) {
            *noted = line;
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
    fn versions_only_rise_and_admit_runs_for_the_newest_only() {
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
    fn what_is_over_its_capacity_is_the_oldest() {
        // All in one shard, of which a young table has room for 2.
        let ledger = Ledger::new(4 * SHARDS);
        for n in 1..=5 {
            ledger.raise(subject(n), Version(n), || ());
        }
        let known = (1..=5).map(|n| ledger.newest(subject(n)).0).collect::<Vec<_>>();
        assert_eq!((known, ledger.entries()), (vec![0, 0, 3, 4, 5], 3));
        // What is noted again is young again.
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
