//! The view cache: memory, then disk, in front of the store; and what proves the entries that it holds.
//!
//! There is one way into the tiers (`learning.rs`), in which nothing older ever replaces something newer. What is looked at is judged by one
//! function (`freshness.rs`) before it is given.

pub mod audit;
mod breaker;
pub mod disk;
pub mod entry;
pub mod follower;
pub mod freshness;
pub mod generations;
mod learning;
pub mod ledger;
mod loads;
mod memory;
pub mod modules;
mod outcome;
mod regions;
#[cfg(test)]
pub(crate) mod tests;
mod watchers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use metrics::Counter;
use tracing::Instrument;
use tracing::field::Empty;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::{ViewReader, step};

use crate::config::CacheConfig;
use breaker::Position;
use disk::{Disk, State};
use entry::Entry;
use freshness::{Bounds, Freshness, Known, judge};
use generations::{Generation, Generations};
use ledger::Ledger;
use loads::{LoadError, Loads, Origin, Waiter};
use memory::Memory;
use outcome::{Look, Outcomes};
use regions::Regions;
use watchers::Watchers;

pub use outcome::Outcome;
pub(crate) use watchers::{NoPlace, Watcher};

/// An answer of the cache.
pub struct Answer {
    /// The view, or its proved absence.
    pub entry: Arc<Entry>,
    /// The moment of which it is true: everything acknowledged before is in it.
    pub as_of: Time,
    /// Whether that moment is within `max_lag`, and nothing was missed since.
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
/// Loads for one answer: the disk's, the store's, and another for a change that came meanwhile.
const MAX_LOADS: usize = 3;

/// See the module.
pub struct Views {
    store: Arc<dyn ViewReader>,
    memory: Memory,
    /// Gone once it could not be written.
    disk: ArcSwapOption<Disk>,
    ledger: Ledger,
    generations: ArcSwap<Generations>,
    /// By how many milliseconds our clock is ahead of the store's, at most.
    ahead_ms: AtomicI64,
    regions: ArcSwap<Regions>,
    loads: Arc<Loads>,
    bounds: ArcSwap<Bounds>,
    audit_per_s: AtomicU32,
    outcomes: Outcomes,
    watchers: Arc<Watchers>,
    disk_errors: Counter,
    clock: fn() -> Time,
}

impl Views {
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
            loads: Arc::new(Loads::new(config)),
            bounds: ArcSwap::from_pointee(bounds(config)),
            audit_per_s: AtomicU32::new(config.audit_per_s),
            outcomes: Outcomes::new("view"),
            watchers: Arc::default(),
            disk_errors: metrics::counter!("cache_disk_errors_total"),
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

    /// The answer from memory, if there is one that may be given. `client` is the version that the client was shown before. Nothing is
    /// counted: [`Self::give`] it, or [`Self::get`] another.
    ///
    /// The hot path: no allocation, and one lock, that of the entry's shard in memory. What memory holds is the newest that is known at
    /// that moment, since whatever raises the ledger replaces or removes it under the ledger's lock; the ledger need not be asked. The
    /// proof is taken before: what a poll told is in memory before the poll ends.
    pub fn peek(&self, subject: SubjectId, client: Version, now: Time) -> Option<Answer> {
        let generations = self.generations.load();
        let entry = self.memory.get(subject)?;
        let hit = if entry.is_absent() { Outcome::Negative } else { Outcome::HitMemory };
        let (newest, proof) = (entry.held.version, generations.proof(entry.held.generation));
        self.judge(entry, Known { newest, proof, client, just_read: false }, now, hit)
    }

    /// The end of a look that found `answer`: counts it, and loads behind it what is stale.
    pub fn give(self: &Arc<Self>, subject: SubjectId, answer: Answer, now: Time) -> Answer {
        self.outcomes.count(answer.outcome);
        self.load_behind(subject, &answer, now);
        answer
    }

    /// The answer from memory, disk or the store.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn get(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, NoAnswer> {
        let now = (self.clock)();
        match self.peek(subject, client, now) {
            Some(answer) => Ok(self.give(subject, answer, now)),
            None => {
                let look = async { self.look(subject, client, self.load(subject, Origin::Disk)).await };
                look.instrument(step!("look_up_view", cache.outcome = Empty)).await
            }
        }
    }

    /// The answers about many, each with the version that its client was shown, in the order asked: what memory has, and the others with
    /// one call of the store.
    pub async fn get_many(self: &Arc<Self>, asked: &[(SubjectId, Version)]) -> Vec<Result<Answer, NoAnswer>> {
        self.look_up_many(asked).instrument(step!("look_up_views", subjects = asked.len())).await
    }

    async fn look_up_many(self: &Arc<Self>, asked: &[(SubjectId, Version)]) -> Vec<Result<Answer, NoAnswer>> {
        let now = (self.clock)();
        let held: Vec<_> = asked.iter().map(|(subject, client)| self.peek(*subject, *client, now)).collect();
        let missing: Vec<_> =
            asked.iter().zip(&held).filter(|(_, held)| held.is_none()).map(|(one, _)| one.0).collect();
        let mut loads = self.load_many(&missing, Origin::Disk).into_iter();
        let looks = asked.iter().zip(held).map(|((subject, client), held)| {
            let found = held.ok_or_else(|| loads.next().expect("a load for each that memory has not"));
            async move {
                match found {
                    Ok(answer) => Ok(self.give(*subject, answer, now)),
                    Err(load) => self.look(*subject, *client, load).await,
                }
            }
        });
        futures::future::join_all(looks).await
    }

    /// The answer from `load`, or from a later one if what it brings may not be given.
    async fn look(
        self: &Arc<Self>,
        subject: SubjectId,
        client: Version,
        mut load: (Waiter, bool),
    ) -> Result<Answer, NoAnswer> {
        let mut look = self.outcomes.look();
        let is_superseded = |entry: &Entry| entry.held.version < client.max(self.ledger.newest(subject));
        let mut superseded = self.memory.get(subject).is_some_and(|entry| is_superseded(&entry));
        for turn in 0..MAX_LOADS {
            if turn > 0 {
                load = self.load(subject, Origin::Store);
            }
            let (waiter, joined) = &load;
            let (entry, origin) = waiter.clone().await.map_err(|fault| no_answer(fault, superseded, &mut look))?;
            let outcome = match (origin, joined) {
                (Origin::Disk, _) => Outcome::HitDisk,
                (Origin::Store, true) => Outcome::Coalesced,
                (Origin::Store, false) => Outcome::Miss,
            };
            let now = (self.clock)();
            superseded |= is_superseded(&entry);
            if let Some(answer) = self.judge_loaded(entry, subject, client, now, outcome) {
                look.outcome = answer.outcome;
                self.load_behind(subject, &answer, now);
                return Ok(answer);
            }
        }
        Err(NoAnswer::BeingUpdated)
    }

    /// The answer from the store, past what is held: of a load that began after this was asked. If the store cannot say, that of
    /// [`Self::get`].
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn reload(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, NoAnswer> {
        self.look_past(subject, client).instrument(step!("look_up_view", cache.outcome = Empty)).await
    }

    async fn look_past(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, NoAnswer> {
        let mut look = self.outcomes.look();
        for turn in 0..MAX_LOADS {
            let (load, joined) = self.load(subject, Origin::Store);
            let Ok((entry, origin)) = load.await else { break };
            let began_before = joined && turn == 0;
            if began_before || origin == Origin::Disk {
                continue;
            }
            if let Some(answer) = self.judge_loaded(entry, subject, client, (self.clock)(), Outcome::Bypass) {
                look.outcome = answer.outcome;
                return Ok(answer);
            }
        }
        look.not_counted();
        self.get(subject, client).await
    }

    /// Watches a subject: whatever is learned of it after this can be looked up when the watcher is woken.
    ///
    /// # Errors
    /// `max_open` watch already, or `max_per_person` of them this subject.
    pub(crate) fn watch(&self, subject: SubjectId, max_open: usize, max_per_person: usize) -> Result<Watcher, NoPlace> {
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

    /// Sets the gauges. To be called before they are read.
    pub fn report(&self) {
        let (present, absent) = self.memory.entries();
        metrics::gauge!("cache_ledger_entries").set(self.ledger.entries() as f64);
        metrics::gauge!("cache_generation").set(self.generation().0 as f64);
        metrics::gauge!("cache_memory_entries", "module" => "view").set(present as f64);
        metrics::gauge!("cache_memory_entries", "module" => "negative").set(absent as f64);
        metrics::gauge!("display_streams_open").set(self.watchers.open() as f64);
        metrics::gauge!("cache_loads").set(self.loads.under_way() as f64);
        metrics::gauge!("cache_breaker_state").set(match self.loads.breaker() {
            Position::Closed => 0.0,
            Position::HalfOpen => 1.0,
            Position::Open => 2.0,
        });
        let disk = self.disk();
        metrics::gauge!("cache_disk_up").set(if disk.is_some() { 1.0 } else { 0.0 });
        metrics::gauge!("cache_disk_entries").set(disk.as_ref().map_or(0, |disk| disk.entries()) as f64);
        metrics::gauge!("cache_disk_bytes").set(disk.as_ref().map_or(0, |disk| disk.bytes()) as f64);
        metrics::gauge!("cache_poll_lag_seconds").set((self.clock)().since(self.polled_at()).as_secs_f64());
        for (region, as_of) in &self.regions.load().as_of {
            let lag = as_of.map_or(f64::INFINITY, |as_of| (self.clock)().since(as_of).as_secs_f64());
            metrics::gauge!("cache_region_lag_seconds", "region" => region.clone()).set(lag);
        }
    }

    /// What a load brought: something newer may have come to be known since.
    fn judge_loaded(
        &self,
        entry: Arc<Entry>,
        subject: SubjectId,
        client: Version,
        now: Time,
        outcome: Outcome,
    ) -> Option<Answer> {
        // The proof before the ledger: a poll that ends between the two has raised the ledger first.
        let proof = self.generations.load().proof(entry.held.generation);
        let just_read = outcome != Outcome::HitDisk;
        self.judge(entry, Known { newest: self.ledger.newest(subject), proof, client, just_read }, now, outcome)
    }

    fn judge(&self, entry: Arc<Entry>, known: Known, now: Time, outcome: Outcome) -> Option<Answer> {
        match judge(entry.held, known, **self.bounds.load(), now) {
            Freshness::Fresh { as_of } => Some(Answer { entry, as_of, fresh: true, outcome }),
            Freshness::Stale { as_of } => {
                // What came from the store just now is a miss all the same.
                let outcome = if known.just_read { outcome } else { Outcome::Stale };
                Some(Answer { entry, as_of, fresh: false, outcome })
            }
            Freshness::MustLoad => None,
        }
    }

    fn load_behind(self: &Arc<Self>, subject: SubjectId, answer: &Answer, now: Time) {
        if answer.outcome == Outcome::Stale
            && answer.entry.may_revalidate(now, REVALIDATE_EVERY)
            && !self.loads.contains(subject)
        {
            self.outcomes.count(Outcome::Revalidated);
            // The load runs as a task of its own; whether it helps is seen at the next look.
            drop(self.load(subject, Origin::Store));
        }
    }
}

fn bounds(config: &CacheConfig) -> Bounds {
    Bounds { max_lag: config.max_lag, max_stale: config.max_stale }
}

fn no_answer(fault: LoadError, superseded: bool, look: &mut Look<'_>) -> NoAnswer {
    match fault {
        LoadError::Throttled => look.outcome = Outcome::Throttled,
        LoadError::Unavailable | LoadError::Corrupt => {}
    }
    match fault {
        LoadError::Unavailable | LoadError::Throttled if superseded => NoAnswer::BeingUpdated,
        LoadError::Unavailable | LoadError::Throttled => NoAnswer::Unavailable,
        LoadError::Corrupt => NoAnswer::Corrupt,
    }
}
