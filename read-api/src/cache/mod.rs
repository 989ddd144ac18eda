//! The view cache: a memory tier in front of the store, with the ledger beside it as the proof of what the tier holds.
//!
//! There is one way into the tier, `Views::admit`, under the ledger's lock of the subject: nothing older ever replaces something newer.

pub mod entry;
pub mod follower;
pub mod freshness;
pub mod ledger;
mod loads;
mod outcome;
mod regions;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::{StoreError, VersionedView, ViewReader};

use crate::config::CacheConfig;
use entry::Entry;
use freshness::{Bounds, Freshness, Held, Known, judge};
use ledger::Ledger;
use loads::Loads;
use outcome::Outcomes;
use regions::Regions;

pub use loads::LoadError;
pub use outcome::Outcome;

/// An answer of the cache.
pub struct Answer {
    /// The view, or its proved absence.
    pub entry: Arc<Entry>,
    /// The moment of which it is true: everything acknowledged before is in it.
    pub as_of: Time,
    /// Whether that moment is within `max_lag`.
    pub fresh: bool,
    /// How it was come by.
    pub outcome: Outcome,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The store cannot say.
    Unavailable,
    /// What is here or in the store is older than what is known to exist or was shown before.
    BeingUpdated,
    /// The store's answer cannot be read.
    Corrupt,
}

/// How often a stale entry is loaded behind, at most.
const REVALIDATE_EVERY: Duration = Duration::from_secs(5);
/// Loads for one answer: the second for a change that came during the first, the third for the same again.
const MAX_LOADS: usize = 3;

type Tier = foyer::Cache<SubjectId, Arc<Entry>, ByFingerprint>;

/// See the module.
pub struct Views {
    store: Arc<dyn ViewReader>,
    present: Tier,
    /// Proved absences have a tier of their own: people who do not exist cannot push out those who do.
    absent: Tier,
    ledger: Ledger,
    polled_at: AtomicI64,
    /// By how many milliseconds our clock is ahead of the store's, at most.
    ahead_ms: AtomicI64,
    regions: ArcSwap<Regions>,
    loads: Arc<Loads>,
    bounds: Bounds,
    outcomes: Outcomes,
    clock: fn() -> Time,
}

impl Views {
    /// An empty cache in front of `store`. Nothing in it is proved before a [`follower::Follower`] runs.
    pub fn new(store: Arc<dyn ViewReader>, config: &CacheConfig, clock: fn() -> Time) -> Arc<Self> {
        let tier = |bytes: usize| -> Tier {
            foyer::CacheBuilder::new(bytes)
                .with_shards(16)
                .with_weighter(|_: &SubjectId, entry: &Arc<Entry>| entry.weight())
                .with_hash_builder(ByFingerprint)
                .build()
        };
        Arc::new(Self {
            store,
            present: tier(config.memory_bytes),
            absent: tier(config.absent_bytes),
            ledger: Ledger::new(config.ledger_entries),
            polled_at: AtomicI64::new(Time::MIN.as_millis()),
            ahead_ms: AtomicI64::new(0),
            regions: ArcSwap::default(),
            loads: Arc::new(Loads::new(config.concurrent_loads, config.queued_loads, config.load_timeout)),
            bounds: Bounds { max_lag: config.max_lag, max_stale: config.max_stale },
            outcomes: Outcomes::new("view"),
            clock,
        })
    }

    /// When the last complete poll of the feed began.
    pub fn polled_at(&self) -> Time {
        Time::from_millis(self.polled_at.load(Ordering::Acquire))
    }

    /// The other regions, each with the moment before which everything acknowledged there is in answers given from now on.
    pub(crate) fn regions(&self) -> arc_swap::Guard<Arc<Regions>> {
        self.regions.load()
    }

    /// The answer from memory, if there is one that may be given. `client` is the version that the client was shown before.
    /// The hot path: no allocation, one lock of one ledger shard.
    pub fn peek(self: &Arc<Self>, subject: SubjectId, client: Version, now: Time) -> Option<Answer> {
        let entry = self.held(subject)?;
        let hit = if entry.is_absent() { Outcome::Negative } else { Outcome::HitMemory };
        let answer = self.judge(entry, subject, client, now, hit)?;
        if answer.fresh {
            self.outcomes.count(hit);
            return Some(answer);
        }
        self.outcomes.count(Outcome::Stale);
        self.revalidate(subject, &answer.entry, now);
        Some(Answer { outcome: Outcome::Stale, ..answer })
    }

    /// The answer from memory or the store.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn get(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, NoAnswer> {
        if let Some(answer) = self.peek(subject, client, (self.clock)()) {
            return Ok(answer);
        }
        for _ in 0..MAX_LOADS {
            let (load, joined) = self.load(subject);
            let outcome = if joined { Outcome::Coalesced } else { Outcome::Miss };
            let entry = load.await.map_err(|fault| {
                self.outcomes.count(Outcome::Error);
                match fault {
                    LoadError::Unavailable => NoAnswer::Unavailable,
                    LoadError::Corrupt => NoAnswer::Corrupt,
                }
            })?;
            if let Some(answer) = self.judge(entry, subject, client, (self.clock)(), outcome) {
                self.outcomes.count(outcome);
                return Ok(answer);
            }
        }
        self.outcomes.count(Outcome::Error);
        Err(NoAnswer::BeingUpdated)
    }

    /// What a feed row said. Overwrites what is cached; who is not looked at is only noted in the ledger. A row that cannot be read
    /// is noted too, so that its subject is loaded.
    pub fn apply(&self, subject: SubjectId, found: VersionedView) {
        let cached = self.present.contains(&subject) || self.absent.contains(&subject);
        let version = found.version;
        // True of the last complete poll, no later: of two rows about the subject this may be the first. The poll's end says more.
        let entry = Entry::new(subject, Some(found), self.now_held(self.polled_at()));
        self.ledger.raise(subject, version, || match entry {
            Ok(entry) if cached => self.put(subject, Arc::new(entry)),
            Ok(_) => {}
            Err(fault) => tracing::error!(%fault, "a row of the feed cannot be read"),
        });
    }

    /// The ledger, for whoever follows the feed.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A complete poll of the feed began at `began` and everything it told is applied; what it told of other regions is true with it.
    pub fn polled(&self, began: Time, regions: &[(String, Option<Time>)]) {
        self.polled_at.store(began.as_millis(), Ordering::Release);
        if self.regions.load().as_of != regions {
            self.regions.store(Arc::new(Regions::new(regions)));
        }
        if self.ledger.is_over_capacity() {
            tracing::warn!("the ledger is over its capacity and begins anew: cache.ledger_entries is too small");
            self.ledger.forget();
        }
    }

    /// Our clock was found ahead of the store's by up to `by`: what is loaded is true of an earlier moment than ours.
    pub fn clock_is_ahead_by(&self, by: Duration) {
        self.ahead_ms.store(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Release);
    }

    /// The present moment by the earlier of our clock and the store's.
    fn cautious_now(&self) -> Time {
        let ahead = self.ahead_ms.load(Ordering::Acquire).unsigned_abs();
        (self.clock)().minus(Duration::from_millis(ahead))
    }

    /// Sets the gauges. To be called before they are read.
    pub fn report(&self) {
        metrics::gauge!("cache_ledger_entries").set(self.ledger.entries() as f64);
        metrics::gauge!("cache_memory_entries", "module" => "view").set(self.present.entries() as f64);
        metrics::gauge!("cache_memory_entries", "module" => "negative").set(self.absent.entries() as f64);
        metrics::gauge!("cache_loads").set(self.loads.under_way() as f64);
        metrics::gauge!("cache_poll_lag_seconds").set((self.clock)().since(self.polled_at()).as_secs_f64());
        for (region, as_of) in &self.regions.load().as_of {
            let lag = as_of.map_or(f64::INFINITY, |as_of| (self.clock)().since(as_of).as_secs_f64());
            metrics::gauge!("cache_region_lag_seconds", "region" => region.clone()).set(lag);
        }
    }

    fn held(&self, subject: SubjectId) -> Option<Arc<Entry>> {
        let entry = self.present.get(&subject).or_else(|| self.absent.get(&subject))?;
        Some(Arc::clone(entry.value()))
    }

    fn judge(
        &self,
        entry: Arc<Entry>,
        subject: SubjectId,
        client: Version,
        now: Time,
        outcome: Outcome,
    ) -> Option<Answer> {
        // Polled before the ledger is asked: a poll that ends between the two has raised the ledger first.
        let polled_at = self.polled_at();
        let known =
            Known { newest: self.ledger.newest(subject), generation: self.ledger.generation(), polled_at, client };
        match judge(entry.held, known, self.bounds, now) {
            Freshness::Fresh { as_of } => Some(Answer { entry, as_of, fresh: true, outcome }),
            Freshness::Stale { as_of } => Some(Answer { entry, as_of, fresh: false, outcome }),
            Freshness::MustLoad => None,
        }
    }

    fn revalidate(self: &Arc<Self>, subject: SubjectId, entry: &Entry, now: Time) {
        if entry.may_revalidate(now, REVALIDATE_EVERY) && !self.loads.contains(subject) {
            self.outcomes.count(Outcome::Revalidated);
            // The load runs as a task of its own; whether it helps is seen at the next look.
            drop(self.load(subject));
        }
    }

    fn load(
        self: &Arc<Self>,
        subject: SubjectId,
    ) -> (impl Future<Output = Result<Arc<Entry>, LoadError>> + use<>, bool) {
        let views = Arc::clone(self);
        self.loads.join_or_start(subject, async move {
            let held = views.now_held(views.cautious_now()); // before the store is read
            let found = views.store.lookup(subject).await.map_err(|fault| load_error(&fault))?;
            let entry = Entry::new(subject, found, held).map_err(|fault| load_error(&fault))?;
            let entry = Arc::new(entry);
            views.admit(subject, Arc::clone(&entry));
            Ok(entry)
        })
    }

    /// What proves an entry that is read from now on.
    fn now_held(&self, loaded_at: Time) -> Held {
        Held { version: Version::ABSENT, generation: self.ledger.generation(), loaded_at }
    }

    fn admit(&self, subject: SubjectId, entry: Arc<Entry>) {
        self.ledger.raise(subject, entry.held.version, || self.put(subject, entry));
    }

    /// Only under the ledger's lock of the subject.
    fn put(&self, subject: SubjectId, entry: Arc<Entry>) {
        if entry.is_absent() {
            self.absent.insert(subject, entry);
        } else {
            self.absent.remove(&subject);
            self.present.insert(subject, entry);
        }
    }
}

fn load_error(fault: &StoreError) -> LoadError {
    match fault {
        StoreError::Unavailable(_) | StoreError::TimedOut => {
            tracing::debug!(%fault, "a load failed");
            LoadError::Unavailable
        }
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => {
            tracing::error!(%fault, "a load failed");
            LoadError::Corrupt
        }
    }
}

/// Subject ids are uniformly distributed already.
#[derive(Clone, Copy, Default, Debug)]
pub struct ByFingerprint;

/// See [`ByFingerprint`].
#[derive(Default)]
pub struct FingerprintHasher(u64);

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
