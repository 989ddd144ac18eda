//! The memory tier: views, and separately negative entries, so that lookups of unknown subjects cannot evict known
//! ones.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use yima_schema::subject::SubjectId;

use super::entry::Entry;
use crate::config::CacheConfig;

type Tier = foyer_memory::Cache<SubjectId, Arc<Entry>, ByFingerprint>;

/// Entries by subject, each in one of two caches with a size limit of its own.
pub(super) struct Memory {
    present: Tier,
    absent: Tier,
}

impl Memory {
    pub fn new(config: &CacheConfig) -> Self {
        let tier = |bytes: usize| -> Tier {
            foyer_memory::CacheBuilder::new(bytes)
                .with_shards(16)
                // A hit sets a bit, where LRU takes the shard's write lock and relinks a list (SIEVE, NSDI 2024).
                // foyer's S3-FIFO makes a `&mut` of what threads with a read lock share.
                .with_eviction_config(foyer_memory::SieveConfig)
                .with_weighter(|_: &SubjectId, entry: &Arc<Entry>| entry.weight())
                .with_hash_builder(ByFingerprint)
                .build()
        };
        Self { present: tier(config.memory_bytes), absent: tier(config.absent_bytes) }
    }

    pub fn resize(&self, config: &CacheConfig) {
        resize(&self.present, config.memory_bytes);
        resize(&self.absent, config.absent_bytes);
    }

    pub fn get(&self, subject: SubjectId) -> Option<Arc<Entry>> {
        let entry = self.present.get(&subject).or_else(|| self.absent.get(&subject))?;
        Some(Arc::clone(entry.value()))
    }

    pub fn contains(&self, subject: SubjectId) -> bool {
        self.present.contains(&subject) || self.absent.contains(&subject)
    }

    /// Only under the ledger's lock of the subject.
    pub fn insert(&self, subject: SubjectId, entry: Arc<Entry>) {
        if entry.is_absent() {
            self.absent.insert(subject, entry);
        } else {
            self.absent.remove(&subject);
            self.present.insert(subject, entry);
        }
    }

    /// Only under the ledger's lock of the subject.
    pub fn remove(&self, subject: SubjectId) {
        self.present.remove(&subject);
        self.absent.remove(&subject);
    }

    /// Number of views, and of negative entries.
    pub fn entries(&self) -> (usize, usize) {
        (self.present.entries(), self.absent.entries())
    }
}

/// Gives a tier another size.
pub(super) fn resize<K, V, S>(tier: &foyer_memory::Cache<K, V, S>, bytes: usize)
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    if tier.capacity() != bytes
        && let Err(error) = tier.resize(bytes)
    {
        tracing::error!(%error, "the memory tier cannot be resized; it keeps its size");
    }
}

/// Hashes a subject id, or a digest, to its first eight bytes: they are uniformly distributed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct ByFingerprint;

#[derive(Default)]
pub(super) struct FingerprintHasher(u64);

impl BuildHasher for ByFingerprint {
    type Hasher = FingerprintHasher;

    fn build_hasher(&self) -> FingerprintHasher {
        FingerprintHasher::default()
    }
}

impl Hasher for FingerprintHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((head, _)) = bytes.split_first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
