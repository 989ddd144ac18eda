//! What the modules beside the views share: entries within bytes that can be changed, 0 of which switch a module off.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};

use foyer_memory::{Cache, CacheBuilder};

use super::memory::resize;
use super::outcome::Outcomes;

/// The entries and outcomes of one module.
pub(super) struct Module<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    pub tier: Cache<K, V, S>,
    /// A tier of no bytes would hold an entry in each of its shards all the same.
    is_on: AtomicBool,
    pub outcomes: Outcomes,
}

impl<K, V, S> Module<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// Of so many bytes, by what an entry weighs.
    pub fn new(name: &'static str, bytes: usize, shards: usize, weight: fn(&K, &V) -> usize, hashed_by: S) -> Self {
        let builder = CacheBuilder::new(bytes).with_shards(shards).with_weighter(weight).with_hash_builder(hashed_by);
        Self { tier: builder.build(), is_on: AtomicBool::new(bytes > 0), outcomes: Outcomes::new(name) }
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Keeps so many bytes from now on.
    pub fn resize(&self, bytes: usize) {
        self.is_on.store(bytes > 0, Ordering::Relaxed);
        resize(&self.tier, bytes);
        // Nothing would push out what is left.
        if bytes == 0 {
            self.tier.clear();
        }
    }
}
