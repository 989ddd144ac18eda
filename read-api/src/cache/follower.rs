//! The follower: polls every stream of the region, raises the ledger, overwrites what is cached, and tells when a poll was complete.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use yima_schema::change::Change;
use yima_schema::time::Time;
use yima_store::{Feed, Registry, StoreError, StreamId, StreamState, VersionedView};

use super::Views;

/// Rows read in one call.
const PAGE: usize = 1_000;

/// How far a stream has been read: everything up to `number`, of which nothing is missing.
#[derive(Clone, Copy)]
struct Position {
    number: u64,
    /// As the registry last showed it.
    open: bool,
    last: u64,
}

/// Follows a feed for a cache.
pub struct Follower {
    feed: Arc<dyn Feed>,
    views: Arc<Views>,
    positions: HashMap<StreamId, Position>,
    epoch: u16,
    poll_every: Duration,
    clock: fn() -> Time,
}

impl Follower {
    /// Begins a generation: what is loaded from now on will be proved.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn start(
        feed: Arc<dyn Feed>,
        views: Arc<Views>,
        poll_every: Duration,
        clock: fn() -> Time,
    ) -> Result<Self, StoreError> {
        let asked = clock();
        let registry = feed.registry().await?;
        let mut follower = Self { feed, views, positions: HashMap::new(), epoch: registry.epoch, poll_every, clock };
        let began = follower.began(&registry, asked);
        follower.begin_generation(&registry, began);
        Ok(follower)
    }

    /// Polls when woken and at least every `poll_every`, for ever. A poll that fails leaves `as_of` standing still.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            let polled = self.poll().await;
            match (&polled, failing) {
                (Err(fault), false) => tracing::warn!(%fault, "the feed cannot be followed; answers grow stale"),
                (Ok(()), true) => tracing::info!("the feed is followed again"),
                (Err(_), true) | (Ok(()), false) => {}
            }
            failing = polled.is_err();
            // Woken or not, it is time to look again.
            let _ = tokio::time::timeout(self.poll_every, self.feed.woken()).await;
        }
    }

    /// When a poll began, by the earlier of our clock and the store's, since one of them may be ahead; loads are corrected likewise until
    /// the next poll.
    fn began(&self, registry: &Registry, asked: Time) -> Time {
        let Some(store) = registry.clock else { return asked };
        // The store was asked for its clock at some moment between the two.
        let answered = (self.clock)();
        self.views.clock_is_ahead_by(answered.since(store));
        asked.min(store.minus(answered.since(asked)))
    }

    /// Starts at the end of every stream, then begins the generation: a load of it sees what was acknowledged before the registry was
    /// read, and what was acknowledged later is in a row after these positions.
    fn begin_generation(&mut self, registry: &Registry, began: Time) {
        let at_end = |s: &StreamState| (s.id, Position { number: s.last, open: s.open, last: s.last });
        self.positions = registry.streams.iter().map(at_end).collect();
        self.epoch = registry.epoch;
        self.views.ledger().begin_generation();
        self.views.polled(began, &registry.regions);
    }

    /// Up to which number a stream has been read without a gap.
    pub fn position(&self, stream: StreamId) -> u64 {
        self.positions.get(&stream).map_or(0, |at| at.number)
    }

    /// Goes on from another position, as if rows up to there had been read and none after.
    pub fn jump(&mut self, stream: StreamId, number: u64) {
        self.positions.insert(stream, Position { number, open: true, last: 0 });
    }

    /// Reads everything there is once.
    ///
    /// # Errors
    /// The store's; what was read before is applied.
    pub async fn poll(&mut self) -> Result<(), StoreError> {
        let asked = (self.clock)();
        let registry = self.feed.registry().await?;
        let began = self.began(&registry, asked);
        if registry.epoch != self.epoch {
            tracing::warn!(
                epoch = registry.epoch,
                "the region was restored or rebuilt; everything cached will be loaded again"
            );
            self.begin_generation(&registry, began);
            return Ok(());
        }
        let gone = |id: &StreamId| !registry.streams.iter().any(|s| s.id == *id);
        let mut missed = self.positions.iter().any(|(id, at)| gone(id) && (at.open || at.number < at.last));
        self.positions.retain(|id, _| !gone(id));
        for stream in &registry.streams {
            let at = self.positions.get(&stream.id).copied().unwrap_or(Position { number: 0, open: true, last: 0 });
            // A closed stream has been read through its last number once and for all.
            let number =
                if at.open || at.number < at.last { self.read(stream.id, at.number).await? } else { at.number };
            missed |= number < stream.last;
            self.positions.insert(stream.id, Position { number, open: stream.open, last: stream.last });
        }
        if missed {
            tracing::warn!("rows of the feed expired unread; everything cached will be loaded again");
            self.begin_generation(&registry, began);
        } else {
            self.views.polled(began, &registry.regions);
        }
        Ok(())
    }

    /// Applies every row above `number` that there is; returns how far nothing is missing. Rows beyond a gap are applied too, and again
    /// at the next poll, which is harmless.
    async fn read(&self, stream: StreamId, mut number: u64) -> Result<u64, StoreError> {
        let mut seen = number;
        loop {
            let rows = self.feed.changes(stream, seen, PAGE).await?;
            let Some((highest, _)) = rows.last() else { break };
            seen = *highest;
            for (at, change) in rows {
                if at == number + 1 {
                    number = at;
                }
                if let Some(Change { subject, version, view }) = change {
                    self.views.apply(subject, VersionedView { version, view });
                }
            }
        }
        Ok(number)
    }
}
