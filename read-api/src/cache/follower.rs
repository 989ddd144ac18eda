//! The follower: polls every stream of the region, raises the ledger, overwrites what is cached, and tells when a poll was complete.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span};
use yima_schema::change::{Change, SpanRef};
use yima_schema::time::{DAY, Time};
use yima_service::telemetry::link;
use yima_store::{Feed, Registry, StoreError, StreamId, StreamState, VersionedView};

use super::ViewCache;
use super::disk::{Position, State};
use super::generations::Generations;

/// Rows read in one call.
const PAGE: usize = 1_000;
/// A follower that has not polled for longer does not go on from where it was: a stream may have come and gone. Closed ones stay in the
/// registry of a CQL store for 30 days.
pub(super) const AWAY: Duration = DAY.saturating_mul(7);
/// The state on disk is written when it says something new, and after this in any case.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Follows a feed for a cache.
pub struct Follower {
    feed: Arc<dyn Feed>,
    views: Arc<ViewCache>,
    /// `None` before the first poll.
    following: Option<Following>,
    poll_every: Duration,
    clock: fn() -> Time,
}

/// How far everything has been read.
struct Following {
    epoch: u16,
    positions: BTreeMap<u32, Position>,
    /// What the disk tier knows of it.
    saved_at: Time,
    saved: BTreeMap<u32, Position>,
}

impl Follower {
    /// Goes on from a state that was saved, or at the first poll begins a generation.
    pub fn new(
        feed: Arc<dyn Feed>,
        views: Arc<ViewCache>,
        saved: Option<State>,
        poll_every: Duration,
        clock: fn() -> Time,
    ) -> Self {
        let following = saved.map(|State { epoch, generations, positions }| Following {
            epoch,
            saved: positions.clone(),
            positions,
            saved_at: generations.polled_at,
        });
        Self { feed, views, following, poll_every, clock }
    }

    /// Begins a generation: what is loaded from now on will be proved.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn start(
        feed: Arc<dyn Feed>,
        views: Arc<ViewCache>,
        poll_every: Duration,
        clock: fn() -> Time,
    ) -> Result<Self, StoreError> {
        let mut follower = Self::new(feed, views, None, poll_every, clock);
        follower.poll().await?;
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
    async fn begin(&mut self, registry: &Registry, generations: Generations) {
        let at_end = |s: &StreamState| (s.id.0, Position { number: s.last, open: s.open, last: s.last });
        self.following = Some(Following {
            epoch: registry.epoch,
            positions: registry.streams.iter().map(at_end).collect(),
            saved_at: Time::MIN,
            saved: BTreeMap::new(),
        });
        // Saved first: rows on disk that say they are of this generation mean this one, not one that a later start begins.
        self.save(generations.clone()).await;
        self.views.follow(generations, &registry.regions);
    }

    /// Up to which number a stream has been read without a gap.
    pub fn position(&self, stream: StreamId) -> u64 {
        let at = self.following.as_ref().and_then(|following| following.positions.get(&stream.0));
        at.map_or(0, |at| at.number)
    }

    /// Goes on from another position, as if rows up to there had been read and none after.
    pub fn jump(&mut self, stream: StreamId, number: u64) {
        if let Some(following) = &mut self.following {
            following.positions.insert(stream.0, Position { number, open: true, last: 0 });
        }
    }

    /// Reads everything there is once.
    ///
    /// # Errors
    /// The store's; what was read before is applied.
    pub async fn poll(&mut self) -> Result<(), StoreError> {
        let asked = (self.clock)();
        let registry = self.feed.registry().await?;
        let began = self.began(&registry, asked);
        let generations = self.views.generations();
        let Some(following) = &self.following else {
            self.begin(&registry, generations.next(began)).await;
            return Ok(());
        };
        if registry.epoch != following.epoch {
            let epoch = registry.epoch;
            tracing::warn!(epoch, "the region was restored or rebuilt; everything cached will be loaded again");
            self.begin(&registry, generations.anew(began)).await;
            return Ok(());
        }
        let too_long_ago = began.since(generations.polled_at) > AWAY;
        if too_long_ago || self.read_streams(&registry).await? {
            tracing::warn!("rows of the feed expired unread; everything cached is old until it is loaded again");
            self.begin(&registry, generations.next(began)).await;
        } else {
            self.views.polled(began, &registry.regions);
            self.save(generations.polled(began)).await;
        }
        Ok(())
    }

    /// Reads every stream to its end. The answer says whether anything was missed.
    async fn read_streams(&mut self, registry: &Registry) -> Result<bool, StoreError> {
        let Some(following) = &self.following else { return Ok(false) };
        let mut positions = following.positions.clone();
        let is_there = |id: u32| registry.streams.iter().any(|s| s.id.0 == id);
        let mut missed = positions.iter().any(|(id, at)| !is_there(*id) && (at.open || at.number < at.last));
        positions.retain(|id, _| is_there(*id));
        for stream in &registry.streams {
            let at = positions.get(&stream.id.0).copied().unwrap_or(Position { number: 0, open: true, last: 0 });
            // A closed stream has been read through its last number once and for all.
            let number =
                if at.open || at.number < at.last { self.read(stream.id, at.number).await? } else { at.number };
            missed |= number < stream.last;
            positions.insert(stream.id.0, Position { number, open: stream.open, last: stream.last });
        }
        if let Some(following) = &mut self.following {
            following.positions = positions;
        }
        Ok(missed)
    }

    /// Applies every row above `number` that there is; returns how far nothing is missing. Rows beyond a gap are applied too, and again
    /// at the next poll, which is harmless.
    async fn read(&self, stream: StreamId, mut number: u64) -> Result<u64, StoreError> {
        let mut seen = number;
        loop {
            let rows = self.feed.changes(stream, seen, PAGE).await?;
            let Some((highest, _)) = rows.last() else { break };
            seen = *highest;
            for (at, _) in &rows {
                if *at == number + 1 {
                    number = *at;
                }
            }
            let changes: Vec<Change> = rows.into_iter().filter_map(|(_, change)| change).collect();
            let span = apply_span(&changes);
            let apply = move |views: &ViewCache| {
                for Change { subject, version, view, traced: _ } in changes {
                    views.apply(subject, VersionedView { version, view });
                }
            };
            self.views.with_disk(apply).instrument(span).await;
        }
        Ok(number)
    }

    /// Notes on disk how far everything has been read, if that is something new.
    async fn save(&mut self, generations: Generations) {
        let Some(following) = &mut self.following else { return };
        let now = generations.polled_at;
        let is_known = following.saved == following.positions && now.since(following.saved_at) < SAVE_EVERY;
        if is_known || !self.views.has_disk() {
            return;
        }
        (following.saved, following.saved_at) = (following.positions.clone(), now);
        let state = State { epoch: following.epoch, generations, positions: following.positions.clone() };
        self.views.with_disk(move |views| views.save(&state)).await;
    }
}

/// The span of applying changes, with a link to each traced request that some are of; nothing if none are. It begins a trace: one page
/// may be of many requests.
fn apply_span(changes: &[Change]) -> Span {
    let traced: HashSet<SpanRef> = changes.iter().filter_map(|change| change.traced).collect();
    if traced.is_empty() {
        return Span::none();
    }
    let span = tracing::info_span!(
        parent: None,
        "apply changes",
        otel.kind = "consumer",
        messaging.system = "yima",
        messaging.operation.name = "apply",
        messaging.operation.type = "process",
        messaging.destination.name = "changes",
        messaging.batch.message_count = changes.len(),
    );
    link(&span, traced);
    span
}
