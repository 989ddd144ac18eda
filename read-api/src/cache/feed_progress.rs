//! How far this node has followed the feed: the generations that prove entries, the other regions, and the store's
//! clock. Written by the follower, read by every lookup.

use std::pin::pin;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
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
    store_clock: Mutex<StoreClock>,
}

/// The store's clock. It goes on by our monotonic clock: our wall clock may be set at any moment.
#[derive(Clone, Copy)]
enum StoreClock {
    /// Before the first poll: a load claims no moment at all.
    Unread,
    /// The store has none.
    Absent,
    /// What it showed, at the latest, at a moment.
    Read(Time, Instant),
}

impl FeedProgress {
    /// Progress that the disk tier saved, or none. Until the clocks are compared, nothing that is loaded claims a later
    /// moment than that progress.
    pub fn new(generations: Generations) -> Self {
        Self {
            generations: ArcSwap::from_pointee(generations),
            regions: ArcSwap::default(),
            regions_moved: Notify::new(),
            waiting: watch::Sender::new(0),
            store_clock: Mutex::new(StoreClock::Unread),
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

    /// Records what the store's clock showed just before `at`: loads are true of no later moment.
    pub fn set_store_clock(&self, showed: Time, at: Instant) {
        *self.store_clock.lock() = StoreClock::Read(showed, at);
    }

    /// Records that the store has no clock, unless one was read before.
    pub fn trust_own_clock(&self) {
        let mut clock = self.store_clock.lock();
        if let StoreClock::Unread = *clock {
            *clock = StoreClock::Absent;
        }
    }

    /// The earlier of our clock, which says `now`, and the store's.
    pub fn earlier_clock(&self, now: Time) -> Time {
        match *self.store_clock.lock() {
            StoreClock::Unread => Time::MIN,
            StoreClock::Absent => now,
            StoreClock::Read(showed, at) => now.min(showed.plus(at.elapsed())),
        }
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
