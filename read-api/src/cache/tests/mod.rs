//! The cache over a store in memory: cases that foyer alone would get wrong, and a model that knows what was
//! acknowledged when.

mod demand;
mod disk;
mod hints;
mod model;
pub(crate) mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use yima_store::{StoreError, VersionedView};

use super::circuit_breaker::BreakerState;
use super::follower::Follower;
use super::single_flight::Origin;
use super::*;
use store::{TestStore, advance, now, subject, view};

fn small() -> CacheConfig {
    CacheConfig { memory_bytes: 1 << 20, absent_bytes: 1 << 20, ..CacheConfig::default() }
}

async fn cache(store: &Arc<TestStore>) -> (Arc<ViewCache>, Follower) {
    let views = ViewCache::new(store.clone(), &small(), None, now);
    let follower = Follower::start(store.clone(), views.clone(), Duration::from_millis(1), now).await.unwrap();
    (views, follower)
}

async fn version(views: &Arc<ViewCache>, n: u8) -> Version {
    views.get(subject(n), Version::ABSENT).await.map(|a| a.entry.version()).unwrap()
}

/// Views and negative entries in memory.
fn entries(views: &ViewCache) -> (usize, usize) {
    let sizes = views.tiers.sizes();
    (sizes.views, sizes.absences)
}

/// Starts a lookup whose load has read the store and waits at the gate.
async fn start_gated_lookup(
    store: &TestStore,
    views: &Arc<ViewCache>,
    n: u8,
) -> JoinHandle<Result<Answer, LookupError>> {
    store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (views, lookups) = (views.clone(), store.lookups.load(Ordering::Relaxed));
    let lookup = tokio::spawn(async move { views.get(subject(n), Version::ABSENT).await });
    while store.lookups.load(Ordering::Relaxed) == lookups {
        tokio::task::yield_now().await;
    }
    lookup
}

#[tokio::test]
async fn a_thousand_concurrent_lookups_share_one_load() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let lookups = (0..1_000).map(|_| {
        let views = views.clone();
        tokio::spawn(async move { version(&views, 1).await })
    });
    for answer in lookups.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), Version(1));
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_lookup_that_races_with_the_end_of_a_load_starts_no_second_load() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    version(&views, 1).await;
    // As a lookup does that missed before that load ended.
    let flight = views.load(subject(1), Origin::Disk);
    let (entry, origin) = flight.landed().await.unwrap();
    assert_eq!((flight.joined, origin, entry.version()), (false, Origin::Memory, Version(1)));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_load_under_way_never_replaces_a_newer_change() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    let lookup = start_gated_lookup(&store, &views, 1).await;
    store.write(subject(1)); // the load has read version 1 and waits
    follower.poll().await.unwrap();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(lookup.await.unwrap().ok().unwrap().entry.version(), Version(2));
    assert_eq!(version(&views, 1).await, Version(2));
}

#[tokio::test]
async fn a_cancelled_lookup_does_not_end_its_load() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let lookup = start_gated_lookup(&store, &views, 1).await;
    lookup.abort();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    while views.single_flight.contains(subject(1)) {
        tokio::task::yield_now().await;
    }
    assert!(views.peek(subject(1), Version::ABSENT, now()).is_some_and(|a| a.fresh));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_as_of_of_a_load_is_its_beginning() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let began = now();
    let lookup = start_gated_lookup(&store, &views, 1).await;
    advance(5_000); // views written meanwhile may be missing in it
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    let answer = lookup.await.unwrap().ok().unwrap();
    assert!(!answer.fresh && answer.as_of == began);
}

#[tokio::test]
async fn the_as_of_of_a_change_is_the_last_complete_poll() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let polled_at = views.polled_at();
    advance(10);
    let second = store.write(subject(1));
    store.write(subject(1));
    advance(10); // both are acknowledged before the poll begins that reads the first
    views.apply(subject(1), VersionedView { version: second, view: view(subject(1)) });
    let between = views.peek(subject(1), Version::ABSENT, now()).unwrap();
    assert!(between.entry.version() == second && between.as_of == polled_at);
    follower.poll().await.unwrap();
    assert_eq!(version(&views, 1).await, Version(3));
}

#[tokio::test]
async fn with_the_store_down_answers_grow_stale_and_then_end() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.failing.store(true, Ordering::Relaxed);
    let loaded_at = now();
    advance(2_001);
    assert!(follower.poll().await.is_err());
    let answer = views.get(subject(1), Version::ABSENT).await.unwrap();
    assert!(!answer.fresh && answer.as_of == loaded_at && answer.outcome == Outcome::Stale);
    assert_eq!(views.get(subject(2), Version::ABSENT).await.err(), Some(LookupError::Unavailable));
    advance(86_400_000);
    assert_eq!(views.get(subject(1), Version::ABSENT).await.err(), Some(LookupError::Unavailable));
    store.failing.store(false, Ordering::Relaxed);
    follower.poll().await.unwrap();
    assert!(views.get(subject(1), Version::ABSENT).await.unwrap().fresh);
}

#[tokio::test]
async fn a_superseded_view_is_never_served_even_with_the_store_down() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.write(subject(1));
    follower.poll().await.unwrap();
    views.tiers.evict(subject(1)); // the ledger remembers version 2
    store.failing.store(true, Ordering::Relaxed);
    assert_eq!(views.get(subject(1), Version::ABSENT).await.err(), Some(LookupError::Unavailable));
    // Neither is a view below the client's floor.
    store.failing.store(false, Ordering::Relaxed);
    assert_eq!(views.get(subject(1), Version(3)).await.err(), Some(LookupError::BeingUpdated));
}

#[tokio::test]
async fn an_absence_is_proved_and_ends_with_the_first_change() {
    let store = TestStore::new();
    let (views, mut follower) = cache(&store).await;
    assert_eq!(version(&views, 1).await, Version::ABSENT);
    let again = views.get(subject(1), Version::ABSENT).await.unwrap();
    assert!(again.fresh && again.entry.is_absent() && store.lookups.load(Ordering::Relaxed) == 1);
    store.write(subject(1));
    follower.poll().await.unwrap();
    assert_eq!(version(&views, 1).await, Version(1));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
    assert_eq!(entries(&views), (1, 0));
}

#[tokio::test]
async fn changes_that_expired_unread_begin_a_generation() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let polled_at = views.polled_at();
    advance(10);
    store.write(subject(1));
    store.expire();
    follower.poll().await.unwrap();
    // The entry stays true of its moment, and is refreshed in the background.
    let old = views.get(subject(1), Version::ABSENT).await.ok().unwrap();
    assert!(!old.fresh && old.as_of == polled_at && old.entry.version() == Version(1));
    while views.single_flight.count() > 0 {
        tokio::task::yield_now().await;
    }
    let new = views.peek(subject(1), Version::ABSENT, now()).unwrap();
    assert!(new.fresh && new.entry.version() == Version(2));
}

#[tokio::test]
async fn a_poll_after_too_long_begins_a_generation() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let generation = views.generation();
    store.brief_writer(subject(1));
    follower.poll().await.unwrap();
    advance(follower::MAX_AWAY.as_millis() as i64);
    store.expire();
    follower.poll().await.unwrap();
    assert_eq!(views.generation(), generation, "streams that were read may expire");
    store.brief_writer(subject(1));
    advance(follower::MAX_AWAY.as_millis() as i64 + 1);
    store.expire();
    follower.poll().await.unwrap();
    assert_ne!(views.generation(), generation);
    assert_eq!(version(&views, 1).await, Version(3));
}

#[tokio::test]
async fn a_raised_epoch_begins_a_generation() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.rebuild();
    follower.poll().await.unwrap();
    assert!(views.peek(subject(1), Version::ABSENT, now()).is_none());
    assert_eq!(version(&views, 1).await, Version(2));
    let generation = views.generation();
    follower.poll().await.unwrap();
    assert_eq!(views.generation(), generation);
}

#[tokio::test(start_paused = true)]
async fn with_our_clock_ahead_of_the_stores_as_of_is_by_the_stores_clock() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let store_clock = now();
    advance(600_000);
    *store.clock.lock() = Some(store_clock);
    follower.poll().await.unwrap();
    assert_eq!(views.polled_at(), store_clock);
    assert_eq!(views.get(subject(2), Version::ABSENT).await.unwrap().as_of, store_clock);
    // A store whose clock is ahead does not move ours.
    *store.clock.lock() = Some(now().plus(Duration::from_secs(600)));
    follower.poll().await.unwrap();
    assert_eq!(views.polled_at(), now());
}

#[tokio::test(start_paused = true)]
async fn with_our_clock_set_ahead_between_two_polls_a_load_claims_no_later_moment_than_the_stores() {
    let store = TestStore::new();
    let (views, mut follower) = cache(&store).await;
    let store_clock = now();
    *store.clock.lock() = Some(store_clock);
    follower.poll().await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    advance(600_000);
    let as_of = views.get(subject(1), Version::ABSENT).await.unwrap().as_of;
    assert_eq!(as_of, store_clock.plus(Duration::from_secs(1)));
}

#[tokio::test]
async fn an_unused_number_is_no_gap() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    store.leave_void();
    store.write(subject(1));
    let generation = views.generation();
    follower.poll().await.unwrap();
    assert_eq!((follower.position(store::STREAM), views.generation()), (3, generation));
    assert_eq!(views.newest(subject(1)), Version(2));
}

#[tokio::test]
async fn lookups_of_unknown_subjects_evict_no_views() {
    let store = TestStore::new();
    let (views, _follower) = cache(&store).await;
    let known = (0..=255u8).collect::<Vec<_>>();
    for n in &known {
        store.write(subject(*n));
        version(&views, *n).await;
    }
    let lookups = store.lookups.load(Ordering::Relaxed);
    // Twenty times as many as memory has room for.
    for unknown in 1..=20_000u64 {
        let mut bytes = [1; 16];
        bytes[..8].copy_from_slice(&unknown.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let unknown = SubjectId::from_bytes(bytes);
        assert!(views.get(unknown, Version::ABSENT).await.is_ok_and(|answer| answer.entry.is_absent()));
    }
    let (present, absent) = entries(&views);
    assert!(present == known.len() && absent < 1_000, "{present} {absent}");
    for n in known {
        assert_eq!(views.get(subject(n), Version::ABSENT).await.unwrap().outcome, Outcome::HitMemory);
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 20_000);
}

#[tokio::test]
async fn many_lookups_load_their_misses_with_one_call() {
    let store = TestStore::new();
    for n in 1..=4 {
        store.write(subject(n));
    }
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let under_way = start_gated_lookup(&store, &views, 2).await;
    // 1 is in memory, 2 is being loaded, 3 is looked up twice, 4 has a floor above every known version, 9 is absent.
    let lookups_of = [1, 2, 3, 9, 3, 4].map(|n| (subject(n), if n == 4 { Version(2) } else { Version::ABSENT }));
    let (many, lookups) = (views.clone(), store.lookups.load(Ordering::Relaxed));
    let answers = tokio::spawn(async move { many.get_many(&lookups_of).await });
    while store.lookups.load(Ordering::Relaxed) == lookups {
        tokio::task::yield_now().await;
    }
    store.write(subject(3)); // after the load has read it, and followed before the load ends
    follower.poll().await.unwrap();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    let answers = answers.await.unwrap();
    let found = answers.iter().map(|answer| answer.as_ref().map(|a| (a.entry.version().0, a.outcome)).map_err(|e| *e));
    use Outcome::{Coalesced, HitMemory, Miss};
    let expected = [
        Ok((1, HitMemory)),
        Ok((1, Coalesced)),
        Ok((2, Miss)),
        Ok((0, Miss)),
        Ok((2, Coalesced)),
        Err(LookupError::BeingUpdated),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert!(under_way.await.unwrap().is_ok());
    // One call for 3, 4 and 9; one more for 3, shared by its two lookups; two more for 4.
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 4);
    store.failing.store(true, Ordering::Relaxed);
    let lookups_of = [1, 5, 6].map(|n| (subject(n), Version::ABSENT));
    let answers = views.get_many(&lookups_of).await;
    assert!(answers[0].is_ok() && answers[1..].iter().all(|a| matches!(a, Err(LookupError::Unavailable))));
}

#[tokio::test]
async fn a_view_of_another_subject_is_corrupt() {
    let (own, other) = (subject(1), subject(2));
    let provenance = Provenance { version: Version(1), generation: Generation(0), loaded_at: now() };
    let found = VersionedView { version: Version(1), view: view(other) };
    assert!(matches!(Entry::new(own, Some(found), provenance), Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn a_store_that_rejects_calls_is_reported_as_such_and_opens_the_circuit_breaker() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.rejecting.store(true, Ordering::Relaxed);
    assert_eq!(views.get(subject(2), Version::ABSENT).await.err(), Some(LookupError::Rejected));
    for n in 3..=21 {
        views.get(subject(n), Version::ABSENT).await.err().unwrap();
    }
    assert_eq!(views.store.breaker_state(), BreakerState::Open);
    assert_eq!(views.get(subject(2), Version::ABSENT).await.err(), Some(LookupError::Unavailable), "throttled");
    // Memory goes on serving.
    follower.poll().await.unwrap();
    assert!(views.get(subject(1), Version::ABSENT).await.unwrap().fresh);
}
