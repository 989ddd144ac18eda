//! The follower: reads every stream of the region's feed, applies each change to the cache, and moves the proof on
//! after each complete poll. Between polls it reads streams that writers hint at, without a proof.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument, Span};
use yima_schema::change::{Change, SpanRef};
use yima_schema::time::{DAY, Time};
use yima_service::telemetry::link;
use yima_store::{Feed, Registry, StoreError, StreamId, StreamState, VersionedView};

use super::ViewCache;
use super::disk::{Position, State};
use super::generations::Generations;

/// Changes read with one call of the store.
const PAGE: usize = 1_000;
/// A follower that has not polled for longer begins a generation: a stream may have been opened and removed meanwhile.
/// Sealed streams stay in the registry of a CQL store for 30 days.
pub(super) const MAX_AWAY: Duration = DAY.saturating_mul(7);
/// Shortest time between two polls while requests wait for another region's moment, however many they are.
const HASTENED_POLL: Duration = Duration::from_millis(100);
/// The state is saved when a position has moved, and otherwise this often.
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

/// The position in each stream.
struct Following {
    epoch: u16,
    positions: BTreeMap<u32, Position>,
    /// What the disk tier has saved of them, and when.
    saved: BTreeMap<u32, Position>,
    saved_at: Time,
}

impl Follower {
    /// Continues from a saved state; without one the first poll begins a generation.
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

    /// Begins a generation: entries that are loaded from now on are proved.
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

    /// Polls whenever the store wakes it and at least every `poll_every`, for ever; while requests wait for another
    /// region's moment also every 100 ms. A poll that fails leaves every `as_of` where it is. Between polls it reads
    /// the streams that are hinted at.
    pub async fn run(mut self, mut hints: mpsc::Receiver<StreamId>) {
        let mut failing = false;
        loop {
            let polled = self.poll().await;
            match (&polled, failing) {
                (Err(error), false) => tracing::warn!(%error, "the feed cannot be followed; answers grow stale"),
                (Ok(()), true) => tracing::info!("the feed is followed again"),
                (Err(_), true) | (Ok(()), false) => {}
            }
            failing = polled.is_err();
            self.follow_hints_until_next_poll(&mut hints).await;
        }
    }

    async fn follow_hints_until_next_poll(&mut self, hints: &mut mpsc::Receiver<StreamId>) {
        let (views, polled) = (Arc::clone(&self.views), Instant::now());
        let next_poll = polled + self.poll_every;
        let waited = tokio::time::sleep_until(polled + HASTENED_POLL);
        let mut hastened = pin!(async { tokio::join!(views.progress.is_waited_for(), waited) });
        loop {
            let stream = tokio::select! {
                biased; // hints delay no poll
                () = self.feed.woken() => return,
                ((), ()) = &mut hastened => return,
                () = tokio::time::sleep_until(next_poll) => return,
                Some(stream) = hints.recv() => stream,
            };
            // A read that is cut off is repeated by the poll.
            let _ = tokio::time::timeout_at(next_poll, self.follow_hint(stream)).await;
        }
    }

    /// Applies the newest changes of one stream. It proves nothing, since the other streams and the registry were not
    /// read: `as_of` stays where the last poll left it. A hint at a stream that is unknown, or was read to its end,
    /// costs nothing.
    pub(super) async fn follow_hint(&mut self, stream: StreamId) {
        let positions = self.following.as_ref().map(|following| &following.positions);
        let Some(at) = positions.and_then(|positions| positions.get(&stream.0)).copied() else { return };
        if !has_unread(at) {
            return;
        }
        match self.read(stream, at.number).await {
            Ok(number) => {
                if let Some(following) = &mut self.following {
                    following.positions.insert(stream.0, Position { number, ..at });
                }
            }
            Err(error) => tracing::debug!(%error, "a hint could not be followed; the next poll reads the stream"),
        }
    }

    /// The beginning of a poll by the earlier of our clock and the store's, since one of them may be ahead. Loads are
    /// dated back likewise until the next poll.
    fn poll_began(&self, registry: &Registry, began: Time, begun: Instant) -> Time {
        let Some(store_clock) = registry.clock else {
            self.views.progress.trust_own_clock();
            return began;
        };
        // The store's clock was read at some moment since the poll began. Our wall clock may have been set meanwhile.
        self.views.progress.set_store_clock(store_clock, Instant::now());
        began.min(store_clock.minus(begun.elapsed()))
    }

    /// Takes the end of every stream as its position, then begins the generation. A load of the new generation thus
    /// sees what was acknowledged before the registry was read; what was acknowledged later is a change after these
    /// positions.
    async fn begin_generation(&mut self, registry: &Registry, generations: Generations) {
        let at_end = |s: &StreamState| (s.id.0, Position { number: s.last, open: s.open, last: s.last });
        self.following = Some(Following {
            epoch: registry.epoch,
            positions: registry.streams.iter().map(at_end).collect(),
            saved: BTreeMap::new(),
            saved_at: Time::MIN,
        });
        // Saved first: a row on disk that names this generation must not be taken for one of a generation that a later
        // start begins.
        self.save(generations.clone()).await;
        self.views.advance(generations, &registry.regions);
        self.report_progress();
    }

    /// Tells the store how far this process has applied its streams.
    fn report_progress(&self) {
        let Some(following) = &self.following else { return };
        let through = following.positions.iter().map(|(id, at)| (StreamId(*id), at.number)).collect::<Vec<_>>();
        self.feed.applied(&through);
    }

    /// The position in a stream: every change up to this number has been read.
    pub fn position(&self, stream: StreamId) -> u64 {
        let position = self.following.as_ref().and_then(|following| following.positions.get(&stream.0));
        position.map_or(0, |position| position.number)
    }

    /// Continues from another position, as if exactly the changes up to it had been read.
    pub fn jump(&mut self, stream: StreamId, number: u64) {
        if let Some(following) = &mut self.following {
            following.positions.insert(stream.0, Position { number, open: true, last: 0 });
        }
    }

    /// Reads every stream to its end, once.
    ///
    /// # Errors
    /// The store's; changes that were read before are applied.
    pub async fn poll(&mut self) -> Result<(), StoreError> {
        let (began, begun) = ((self.clock)(), Instant::now());
        let registry = self.feed.registry().await?;
        let polled_at = self.poll_began(&registry, began, begun);
        let generations = Arc::clone(&self.views.progress.generations());
        let Some(following) = &self.following else {
            self.begin_generation(&registry, generations.after_gap(polled_at)).await;
            return Ok(());
        };
        if registry.epoch != following.epoch {
            let epoch = registry.epoch;
            tracing::warn!(epoch, "the region was restored or rebuilt; everything cached will be loaded again");
            self.begin_generation(&registry, generations.after_rebuild(polled_at)).await;
            return Ok(());
        }
        let away_too_long = polled_at.since(generations.polled_at) > MAX_AWAY;
        if away_too_long || self.read_streams(&registry).await? {
            tracing::warn!("changes of the feed expired unread; everything cached is stale until it is loaded again");
            self.begin_generation(&registry, generations.after_gap(polled_at)).await;
        } else {
            self.views.advance(generations.after_poll(polled_at), &registry.regions);
            self.report_progress();
            self.save(generations.after_poll(polled_at)).await;
        }
        Ok(())
    }

    /// Reads every stream to its end. `true` if a change was missed.
    async fn read_streams(&mut self, registry: &Registry) -> Result<bool, StoreError> {
        let Some(following) = &self.following else { return Ok(false) };
        let mut positions = following.positions.clone();
        let is_listed = |id: u32| registry.streams.iter().any(|s| s.id.0 == id);
        let mut missed = positions.iter().any(|(id, at)| !is_listed(*id) && has_unread(*at));
        positions.retain(|id, _| is_listed(*id));
        for stream in &registry.streams {
            let at = positions.get(&stream.id.0).copied().unwrap_or(Position { number: 0, open: true, last: 0 });
            let number = if has_unread(at) { self.read(stream.id, at.number).await? } else { at.number };
            missed |= number < stream.last;
            positions.insert(stream.id.0, Position { number, open: stream.open, last: stream.last });
        }
        if let Some(following) = &mut self.following {
            following.positions = positions;
        }
        Ok(missed)
    }

    /// Applies every change after `number`, and returns the number up to which none is missing. Changes beyond a gap
    /// are applied now and again at the next poll, which is harmless.
    async fn read(&self, stream: StreamId, mut number: u64) -> Result<u64, StoreError> {
        let mut seen = number;
        loop {
            let page = self.feed.changes(stream, seen, PAGE).await?;
            let Some((highest, _)) = page.last() else { break };
            seen = *highest;
            for (at, _) in &page {
                if *at == number + 1 {
                    number = *at;
                }
            }
            let changes: Vec<Change> = page.into_iter().filter_map(|(_, change)| change).collect();
            let span = apply_span(&changes);
            let apply = move |views: &ViewCache| {
                for Change { subject, version, view, traced: _ } in changes {
                    views.apply(subject, VersionedView { version, view });
                }
            };
            self.views.run_blocking(apply).instrument(span).await;
        }
        Ok(number)
    }

    /// Saves the positions in the disk tier, if they have moved or were saved a while ago.
    async fn save(&mut self, generations: Generations) {
        let Some(following) = &mut self.following else { return };
        let now = generations.polled_at;
        let is_saved = following.saved == following.positions && now.since(following.saved_at) < SAVE_EVERY;
        if is_saved || !self.views.tiers.has_disk() {
            return;
        }
        (following.saved, following.saved_at) = (following.positions.clone(), now);
        let state = State { epoch: following.epoch, generations, positions: following.positions.clone() };
        self.views.run_blocking(move |views| views.tiers.save(&state)).await;
    }
}

/// Whether a stream may have changes after a position. A sealed one that was read through its last number has none.
fn has_unread(at: Position) -> bool {
    at.open || at.number < at.last
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.feed.applied(&[]);
    }
}

/// The span of applying a page of changes, with a link to each traced request that published some of them; none without
/// such a request. It begins a trace of its own, since one page may come from many requests.
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
