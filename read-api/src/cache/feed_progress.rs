//! How far this node has followed the feed: the generations that prove entries, the other regions, and the offset
//! between our clock and the store's. Written by the follower, read by every lookup.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, watch};
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::freshness::Provenance;
use super::generations::Generations;
use super::regions::Regions;

/// The follower's progress, shared with every lookup.
pub(super) struct FeedProgress {
    generations: ArcSwap<Generations>,
    regions: ArcSwap<Regions>,
    /// Wakes those who wait for another region's moment.
    regions_moved: Notify,
    /// How many wait for it.
    waiting: watch::Sender<usize>,
    /// By how many milliseconds our clock is ahead of the store's, at most; [`UNKNOWN`] before the first poll.
    clock_ahead_ms: AtomicI64,
}

/// Before a poll compared the clocks: a load claims no moment at all.
const UNKNOWN: i64 = i64::MAX;

impl FeedProgress {
    /// Progress that the disk tier saved, or none. Until the clocks are compared, nothing that is loaded claims a later
    /// moment than that progress.
    pub fn new(generations: Generations) -> Self {
        Self {
            generations: ArcSwap::from_pointee(generations),
            regions: ArcSwap::default(),
            regions_moved: Notify::new(),
            waiting: watch::Sender::new(0),
            clock_ahead_ms: AtomicI64::new(UNKNOWN),
        }
    }

    /// The generations as of the last complete poll.
    pub fn generations(&self) -> Guard<Arc<Generations>> {
        self.generations.load()
    }

    /// The other regions as of the last complete poll.
    pub fn regions(&self) -> Guard<Arc<Regions>> {
        self.regions.load()
    }

    /// Moves on to these generations and regions. With a disk tier a new generation has to be saved there first.
    pub fn advance(&self, generations: Generations, regions: &[(String, Option<Time>)]) {
        self.generations.store(Arc::new(generations));
        if self.regions.load().as_of != regions {
            self.regions.store(Arc::new(Regions::new(regions)));
            self.regions_moved.notify_waiters();
        }
    }

    /// Waits until everything acknowledged in another region up to `moment` is in every entry of the current
    /// generation, and returns the moment of which such an entry is true at least.
    pub async fn region_passed(&self, region: &str, moment: Time) -> Time {
        let mut waiting = None;
        loop {
            let mut moved = pin!(self.regions_moved.notified());
            moved.as_mut().enable(); // before the regions are read, so that no move is missed
            if self.regions.load().has_passed(region, moment) {
                // Read after the regions, which are stored after the generations: the same poll or a later one.
                return self.generations.load().polled_at;
            }
            waiting.get_or_insert_with(|| Waiting::begin(&self.waiting));
            moved.await;
        }
    }

    /// Resolves while anybody waits in [`Self::region_passed`].
    pub async fn is_waited_for(&self) {
        // Without an error: the sender is a field of this.
        drop(self.waiting.subscribe().wait_for(|count| *count > 0).await);
    }

    /// Records that our clock is ahead of the store's by up to `offset`: loads are true of an earlier moment than our
    /// clock says.
    pub fn set_clock_ahead(&self, offset: Duration) {
        self.clock_ahead_ms.store(i64::try_from(offset.as_millis()).unwrap_or(i64::MAX), Ordering::Release);
    }

    /// Records that the store has no clock, unless one was read before.
    pub fn trust_own_clock(&self) {
        let _known = self.clock_ahead_ms.compare_exchange(UNKNOWN, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The earlier of our clock, which says `now`, and the store's.
    pub fn earlier_clock(&self, now: Time) -> Time {
        let ahead_ms = self.clock_ahead_ms.load(Ordering::Acquire).unsigned_abs();
        now.minus(Duration::from_millis(ahead_ms))
    }

    /// The provenance of an entry that is read from now on and true of `loaded_at`; its version is not known yet.
    pub fn provenance(&self, loaded_at: Time) -> Provenance {
        Provenance { version: Version::ABSENT, generation: self.generations.load().current, loaded_at }
    }
}

/// One that waits for another region's moment, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
