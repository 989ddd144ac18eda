//! The view cache: a memory and a disk tier in front of the store, and the proof that lets their entries be served.
//!
//! There is one way into the tiers (`tiers.rs`), on which nothing older ever replaces something newer. Every lookup
//! (`lookup.rs`) has its entry judged by one function (`freshness.rs`) before it is served.

mod at_least;
mod audit;
mod circuit_breaker;
pub mod disk;
mod entry;
mod feed_progress;
pub mod follower;
pub mod freshness;
pub mod generations;
mod guarded_store;
mod ledger;
mod load;
mod lookup;
mod memory;
mod metrics;
mod module;
mod opened_sessions;
mod outcome;
mod regions;
mod signed_tokens;
mod single_flight;
mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;
mod tier_times;
mod tiers;
mod tuning;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::{VersionedView, ViewReader};

use self::metrics::ReportedRegions;
use crate::config::CacheConfig;
use audit::AuditRate;
use disk::{Disk, State};
use feed_progress::FeedProgress;
use freshness::{Bounds, Provenance};
use generations::{Generation, Generations};
use guarded_store::GuardedStore;
use outcome::Outcomes;
use regions::Regions;
use single_flight::SingleFlight;
use subscriptions::Subscriptions;
use tier_times::TierTimes;
use tiers::Tiers;

pub(crate) use audit::Audit;
pub(crate) use entry::Display;
pub use entry::Entry;
pub use lookup::{Answer, LookupError};
pub use opened_sessions::OpenedSessions;
pub use outcome::Outcome;
pub use signed_tokens::SignedTokens;
pub(crate) use subscriptions::{SubscribeError, Subscription};
pub use tuning::{CacheSettings, TuningError};

/// Composes tiers, feed progress, single flight and the store behind its circuit breaker. `lookup.rs` answers from it,
/// `load.rs` fills it.
pub struct ViewCache {
    tiers: Tiers,
    progress: FeedProgress,
    store: GuardedStore,
    single_flight: Arc<SingleFlight>,
    bounds: ArcSwap<Bounds>,
    outcomes: Outcomes,
    times: TierTimes,
    subscriptions: Arc<Subscriptions>,
    audit_rate: AuditRate,
    reported_regions: ReportedRegions,
    clock: fn() -> Time,
}

impl ViewCache {
    /// A cache in front of `store`, empty but for the disk tier and the state that was saved on it. Entries of the disk
    /// tier are served as true of the moment until which they were followed; entries admitted from now on are proved as
    /// long as a [`follower::Follower`] runs.
    pub fn new(
        store: Arc<dyn ViewReader>,
        config: &CacheConfig,
        disk: Option<(Disk, Option<&State>)>,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        let (disk, state) = disk.map_or((None, None), |(disk, state)| (Some(disk), state));
        let generations = state.map_or_else(Generations::default, |state| state.generations.clone());
        Arc::new(Self {
            tiers: Tiers::new(config, disk),
            progress: FeedProgress::new(generations),
            store: GuardedStore::new(store, config),
            single_flight: Arc::default(),
            bounds: ArcSwap::from_pointee(Bounds::new(config)),
            outcomes: Outcomes::new("view"),
            times: TierTimes::default(),
            subscriptions: Arc::default(),
            audit_rate: AuditRate::new(config.audit_per_s),
            reported_regions: ReportedRegions::default(),
            clock,
        })
    }

    /// Applies other sizes, times and limits. Loads under way keep the limits they began with.
    pub(crate) fn tune(&self, config: &CacheConfig) {
        self.tiers.resize(config);
        self.bounds.store(Arc::new(Bounds::new(config)));
        self.store.tune(config);
        self.audit_rate.set(config.audit_per_s);
    }

    /// When the last complete poll of the feed began.
    pub fn polled_at(&self) -> Time {
        self.progress.generations().polled_at
    }

    /// The current generation.
    pub fn generation(&self) -> Generation {
        self.progress.generations().current
    }

    /// The newest version known of a subject, if it was loaded or changed lately.
    pub fn newest(&self, subject: SubjectId) -> Version {
        self.tiers.newest(subject)
    }

    /// The other regions, each with the moment before which everything acknowledged there is in every answer given from
    /// now on.
    pub(crate) fn regions(&self) -> Guard<Arc<Regions>> {
        self.progress.regions()
    }

    /// The other regions that have not been heard for too long at `now`: their newest events may be missing.
    pub(crate) fn silent_regions(&self, now: Time) -> Vec<String> {
        let bound = self.bounds.load().max_region_lag;
        self.regions().silent(bound, now).map(str::to_owned).collect()
    }

    /// Applies a change of the feed, and wakes the subject's subscriptions once a lookup would find it. A view that
    /// cannot be decoded only raises the ledger, so that its subject is loaded.
    pub(crate) fn apply(&self, subject: SubjectId, change: VersionedView) {
        // True of the last complete poll and no later, since this may be the first of two changes of the subject. The
        // end of the poll proves more.
        let provenance = self.progress.provenance(self.polled_at());
        let provenance = Provenance { version: change.version, ..provenance };
        let entry = Entry::new(subject, Some(change), provenance).inspect_err(
            |error| tracing::error!(%error, "a change of the feed cannot be decoded; its subject will be loaded"),
        );
        if self.tiers.admit_change(subject, provenance, entry.ok()) {
            self.subscriptions.wake(subject);
        }
    }

    /// Moves on after a poll of the feed that is complete or began a generation: every change that it read has been
    /// applied.
    fn advance(&self, generations: Generations, regions: &[(String, Option<Time>)]) {
        self.progress.advance(generations, regions);
    }

    /// Subscribes to a subject: the subscription is woken by each change that is admitted after this call.
    ///
    /// # Errors
    /// `max_open` subscriptions are open, or `max_per_subject` of this subject.
    pub(crate) fn subscribe(
        &self,
        subject: SubjectId,
        max_open: usize,
        max_per_subject: usize,
    ) -> Result<Subscription, SubscribeError> {
        self.subscriptions.subscribe(subject, max_open, max_per_subject)
    }

    /// Number of open subscriptions.
    pub(crate) fn open_subscriptions(&self) -> usize {
        self.subscriptions.open()
    }

    /// Ends every subscription and refuses new ones, since the process stops.
    pub(crate) fn end_subscriptions(&self) {
        self.subscriptions.close();
    }
}
