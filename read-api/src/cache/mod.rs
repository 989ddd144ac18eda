//! The view cache: memory, then disk, in front of the store; and what proves the entries that it holds.
//!
//! There is one way into the tiers (`learning.rs`), in which nothing older ever replaces something newer. What is looked up (`looking.rs`) is
//! judged by one function (`freshness.rs`) before it is given.

mod admission;
pub mod audit;
mod circuit_breaker;
pub mod disk;
pub mod entry;
pub mod follower;
pub mod freshness;
pub mod generations;
pub mod ledger;
mod lookup;
mod memory;
mod metrics;
mod outcome;
mod regions;
mod single_flight;
mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;
pub mod tuning;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use ::metrics::Counter;
use arc_swap::{ArcSwap, ArcSwapOption};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::ViewReader;

use crate::config::CacheConfig;
use disk::{Disk, State};
use freshness::Bounds;
use generations::{Generation, Generations};
use ledger::Ledger;
use memory::Memory;
use outcome::Outcomes;
use regions::Regions;
use single_flight::SingleFlight;
use subscriptions::Subscriptions;

pub use lookup::{Answer, LookupError};
pub use outcome::Outcome;
pub(crate) use subscriptions::{SubscribeError, Subscription};

/// See the module.
pub struct ViewCache {
    store: Arc<dyn ViewReader>,
    memory: Memory,
    /// Gone once it could not be written.
    disk: ArcSwapOption<Disk>,
    ledger: Ledger,
    generations: ArcSwap<Generations>,
    /// By how many milliseconds our clock is ahead of the store's, at most.
    ahead_ms: AtomicI64,
    regions: ArcSwap<Regions>,
    loads: Arc<SingleFlight>,
    bounds: ArcSwap<Bounds>,
    audit_per_s: AtomicU32,
    outcomes: Outcomes,
    watchers: Arc<Subscriptions>,
    disk_errors: Counter,
    clock: fn() -> Time,
}

impl ViewCache {
    /// A cache in front of `store`, empty but for what a disk tier brings, with the state that was found on it. What is on it is shown as
    /// true of the moment until which it was followed, and what is learned is proved as long as a [`follower::Follower`] runs.
    pub fn new(
        store: Arc<dyn ViewReader>,
        config: &CacheConfig,
        disk: Option<(Disk, Option<&State>)>,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        let (disk, state) = disk.map_or((None, None), |(disk, state)| (Some(Arc::new(disk)), state));
        let generations = state.map_or_else(Generations::default, |state| state.generations.clone());
        Arc::new(Self {
            store,
            memory: Memory::new(config),
            disk: ArcSwapOption::from(disk),
            ledger: Ledger::new(config.ledger_entries),
            generations: ArcSwap::from_pointee(generations),
            ahead_ms: AtomicI64::new(0),
            regions: ArcSwap::default(),
            loads: Arc::new(SingleFlight::new(config)),
            bounds: ArcSwap::from_pointee(bounds(config)),
            audit_per_s: AtomicU32::new(config.audit_per_s),
            outcomes: Outcomes::new("view"),
            watchers: Arc::default(),
            disk_errors: ::metrics::counter!("cache_disk_errors_total"),
            clock,
        })
    }

    /// Goes on with other sizes, times and limits. What is under way keeps its own.
    pub fn tune(&self, config: &CacheConfig) {
        self.memory.resize(config);
        self.bounds.store(Arc::new(bounds(config)));
        self.loads.tune(config);
        self.audit_per_s.store(config.audit_per_s, Ordering::Relaxed);
        if let Some(disk) = self.disk() {
            disk.resize(config.disk_bytes);
        }
    }

    /// When the last complete poll of the feed began.
    pub fn polled_at(&self) -> Time {
        self.generations.load().polled_at
    }

    /// The generation that is being followed.
    pub fn generation(&self) -> Generation {
        self.generations.load().current
    }

    fn generations(&self) -> Arc<Generations> {
        self.generations.load_full()
    }

    fn has_disk(&self) -> bool {
        self.disk.load().is_some()
    }

    /// The newest version of a subject that is known, if something was learned of it lately.
    pub fn newest(&self, subject: SubjectId) -> Version {
        self.ledger.newest(subject)
    }

    /// The other regions, each with the moment before which everything acknowledged there is in answers given from now on.
    pub(crate) fn regions(&self) -> arc_swap::Guard<Arc<Regions>> {
        self.regions.load()
    }

    /// Watches a subject: whatever is learned of it after this can be looked up when the watcher is woken.
    ///
    /// # Errors
    /// `max_open` watch already, or `max_per_person` of them this subject.
    pub(crate) fn watch(
        &self,
        subject: SubjectId,
        max_open: usize,
        max_per_person: usize,
    ) -> Result<Subscription, SubscribeError> {
        self.watchers.watch(subject, max_open, max_per_person)
    }

    /// Ends every watch, for the process stops.
    pub(crate) fn end_watches(&self) {
        self.watchers.close();
    }

    /// A complete poll of the feed began at `began` and everything it told is applied; what it told of other regions is true with it.
    pub fn polled(&self, began: Time, regions: &[(String, Option<Time>)]) {
        self.follow(self.generations.load().polled(began), regions);
    }

    /// Goes on with other generations. With a disk tier they have to be saved there before.
    fn follow(&self, generations: Generations, regions: &[(String, Option<Time>)]) {
        self.generations.store(Arc::new(generations));
        if self.regions.load().as_of != regions {
            self.regions.store(Arc::new(Regions::new(regions)));
        }
    }

    /// Our clock was found ahead of the store's by up to `by`: what is loaded is true of an earlier moment than ours.
    pub fn clock_is_ahead_by(&self, by: Duration) {
        self.ahead_ms.store(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Release);
    }
}

fn bounds(config: &CacheConfig) -> Bounds {
    Bounds { max_lag: config.max_lag, max_stale: config.max_stale }
}
