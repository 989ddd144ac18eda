//! The tiers and the only way into them: admission of changes of the feed, of loads from the store, and of rows of the
//! disk tier.
//!
//! Every admission holds the subject's admission lock, compares its version with the ledger, writes to the disk tier
//! and then to the memory tier. Nothing older ever replaces something newer, in either tier.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use metrics::Counter;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use super::disk::{Disk, DiskError, State};
use super::entry::Entry;
use super::freshness::Provenance;
use super::ledger::Ledger;
use super::memory::Memory;
use crate::config::CacheConfig;

/// Memory tier, disk tier and the ledger that both are checked against.
pub(super) struct Tiers {
    memory: Memory,
    /// `None` without a disk tier, or since a write to it failed.
    disk: ArcSwapOption<Disk>,
    ledger: Ledger,
    disk_errors: Counter,
}

/// Sizes of the tiers, for gauges.
pub(super) struct TierSizes {
    /// Views in memory.
    pub views: usize,
    /// Negative entries in memory.
    pub absences: usize,
    /// Subjects in the ledger.
    pub ledger_entries: usize,
    /// Subjects (about) and bytes of the disk tier; `None` without one.
    pub disk: Option<(usize, u64)>,
}

impl Tiers {
    /// An empty memory tier and ledger over the disk tier as it was found.
    pub fn new(config: &CacheConfig, disk: Option<Disk>) -> Self {
        Self {
            memory: Memory::new(config),
            disk: ArcSwapOption::from_pointee(disk),
            ledger: Ledger::new(config.ledger_entries),
            disk_errors: metrics::counter!("cache_disk_errors_total"),
        }
    }

    /// Gives the tiers other sizes.
    pub fn resize(&self, config: &CacheConfig) {
        self.memory.resize(config);
        if let Some(disk) = self.disk() {
            disk.resize(config.disk_bytes);
        }
    }

    /// The entry in memory: the newest version known at that moment, since whatever raises the ledger replaces or
    /// removes the entry under the ledger's lock. Takes no lock but that of the entry's shard.
    pub fn get(&self, subject: SubjectId) -> Option<Arc<Entry>> {
        self.memory.get(subject)
    }

    /// The newest version known of a subject; [`Version::ABSENT`] if the ledger knows none.
    pub fn newest(&self, subject: SubjectId) -> Version {
        self.ledger.newest(subject)
    }

    /// The version that a lookup would find in memory or on disk. Waits for the disk.
    pub fn cached_version(&self, subject: SubjectId) -> Version {
        if let Some(entry) = self.memory.get(subject) {
            return entry.version();
        }
        let row = self.disk().and_then(|disk| disk.lookup(subject).ok().flatten());
        row.map_or(Version::ABSENT, |row| row.provenance.version)
    }

    /// Admits a change of the feed: replaces the entry in memory if there is one, and goes to the disk tier in any
    /// case. Of a change that could not be decoded (`None`) only the version is recorded, so that its subject is
    /// loaded. `false` if a newer version was known.
    pub fn admit_change(&self, subject: SubjectId, provenance: Provenance, entry: Option<Entry>) -> bool {
        let _admission = self.ledger.lock_admission(subject);
        if !self.raise_on_disk(subject, provenance, entry.as_ref()) {
            return false;
        }
        self.ledger.raise(subject, provenance.version, || match entry {
            Some(entry) if self.memory.contains(subject) => self.memory.insert(subject, Arc::new(entry)),
            Some(_) => {}
            None => self.memory.remove(subject),
        });
        true
    }

    /// Admits an entry that was loaded from the store, unless a newer version is known.
    pub fn admit_load(&self, subject: SubjectId, entry: Arc<Entry>) {
        let _admission = self.ledger.lock_admission(subject);
        if self.raise_on_disk(subject, entry.provenance(), Some(&entry)) {
            self.ledger.raise(subject, entry.version(), || self.memory.insert(subject, entry));
        }
    }

    /// Reads a subject's row of the disk tier and admits it to memory, unless a newer version is known. Waits for the
    /// disk.
    pub fn admit_from_disk(&self, disk: &Disk, subject: SubjectId) -> Option<Arc<Entry>> {
        let row = match disk.lookup(subject) {
            Ok(row) => row?,
            Err(error) => {
                self.disk_errors.increment(1);
                tracing::error!(%error, "the disk tier cannot be read; the subject is loaded from the store");
                return None;
            }
        };
        let entry = Entry::new(subject, Some(row.view), row.provenance).inspect_err(
            |error| tracing::error!(%error, "a view of the disk tier cannot be decoded; it is loaded from the store"),
        );
        let entry = Arc::new(entry.ok()?);
        let _admission = self.ledger.lock_admission(subject);
        self.ledger.raise(subject, entry.version(), || self.memory.insert(subject, Arc::clone(&entry)));
        Some(entry)
    }

    /// Records that `version` of a subject exists, and drops an older entry from memory: its next lookup loads it.
    pub fn supersede(&self, subject: SubjectId, version: Version) {
        self.ledger.raise(subject, version, || self.memory.remove(subject));
    }

    /// Writes an admission to the disk tier. `false` if the disk tier or the ledger has a newer version; the ledger has
    /// it then.
    fn raise_on_disk(&self, subject: SubjectId, provenance: Provenance, entry: Option<&Entry>) -> bool {
        if self.ledger.newest(subject) > provenance.version {
            return false;
        }
        let Some(disk) = self.disk() else { return true };
        match disk.raise(subject, provenance, entry.map(Entry::bytes)) {
            Ok(newest) if newest > provenance.version => {
                self.supersede(subject, newest);
                false
            }
            Ok(_) => true,
            Err(error) => {
                self.lose_disk(&error);
                true
            }
        }
    }

    /// The disk tier, while it can be used.
    pub fn disk(&self) -> Option<Arc<Disk>> {
        self.disk.load_full()
    }

    /// Whether there is a disk tier that can be used.
    pub fn has_disk(&self) -> bool {
        self.disk.load().is_some()
    }

    /// Saves how far the feed has been followed, after every row that the follower wrote before.
    pub fn save(&self, state: &State) {
        if let Some(disk) = self.disk()
            && let Err(error) = disk.save(state)
        {
            self.lose_disk(&error);
        }
    }

    /// Stops using the disk tier after a write that failed: rows are missing on it from now on, so nothing on it may be
    /// believed until the next start has followed the feed from where the disk tier stopped.
    pub fn lose_disk(&self, error: &DiskError) {
        if self.disk.swap(None).is_some() {
            tracing::error!(%error, "the disk tier cannot be written; it stays unused until the next start");
        }
    }

    /// The present sizes.
    pub fn sizes(&self) -> TierSizes {
        let (views, absences) = self.memory.entries();
        let disk = self.disk().map(|disk| (disk.entries(), disk.bytes()));
        TierSizes { views, absences, ledger_entries: self.ledger.entries(), disk }
    }

    /// Evicts an entry from memory, as a full memory tier does.
    #[cfg(test)]
    pub fn evict(&self, subject: SubjectId) {
        self.memory.remove(subject);
    }
}
