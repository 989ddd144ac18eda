//! The follower: polls every stream of the region, raises the ledger, overwrites what is cached, and tells when a poll was complete.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use yima_schema::time::Time;
use yima_store::{Feed, StoreError, StreamId, VersionedView};

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
        let mut follower = Self { feed, views, positions: HashMap::new(), poll_every, clock };
        follower.begin_generation().await?;
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

    /// Starts at the end of every stream, then begins the generation: a load of it sees what was acknowledged before the registry was
    /// read, and what was acknowledged later is in a row after these positions.
    async fn begin_generation(&mut self) -> Result<(), StoreError> {
        let began = (self.clock)();
        let streams = self.feed.streams().await?;
        self.positions =
            streams.iter().map(|s| (s.id, Position { number: s.last, open: s.open, last: s.last })).collect();
        self.views.ledger().begin_generation();
        self.views.polled(began);
        Ok(())
    }

    pub(super) async fn poll(&mut self) -> Result<(), StoreError> {
        let began = (self.clock)();
        let streams = self.feed.streams().await?;
        let gone = |id: &StreamId| !streams.iter().any(|s| s.id == *id);
        let missed_ends = self.positions.iter().any(|(id, at)| gone(id) && (at.open || at.number < at.last));
        let missed_starts =
            streams.iter().any(|s| s.first > self.positions.get(&s.id).map_or(0, |at| at.number) + 1 && s.last > 0);
        if missed_ends || missed_starts {
            tracing::warn!("rows of the feed expired unread; everything cached will be loaded again");
            return self.begin_generation().await;
        }
        self.positions.retain(|id, _| !gone(id));
        for stream in &streams {
            let number = self.positions.get(&stream.id).map_or(0, |at| at.number);
            let number = self.read(stream.id, number, stream.last).await?;
            self.positions.insert(stream.id, Position { number, open: stream.open, last: stream.last });
        }
        self.views.polled(began);
        Ok(())
    }

    /// Applies every row above `number` up to `last` at least; returns how far nothing is missing. Rows beyond a gap are applied too, and
    /// again at the next poll, which is harmless.
    async fn read(&self, stream: StreamId, mut number: u64, last: u64) -> Result<u64, StoreError> {
        let mut seen = number;
        while seen < last {
            let rows = self.feed.changes(stream, seen, PAGE).await?;
            let Some((highest, _)) = rows.last() else { break };
            seen = *highest;
            for (at, change) in rows {
                if at == number + 1 {
                    number = at;
                }
                let found = VersionedView { version: change.version, view: change.view };
                self.views.apply(change.subject, found);
            }
        }
        Ok(number)
    }
}
