//! The cache against a store in memory: what foyer alone would get wrong, and a model that knows what was acknowledged when.

mod disk;
mod model;
pub(crate) mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use yima_store::{StoreError, VersionedView};

use super::entry::Entry;
use super::follower::Follower;
use super::freshness::Provenance;
use super::single_flight::Origin;
use super::*;
use store::{TestStore, advance, now, subject, view};

async fn cache(store: &Arc<TestStore>) -> (Arc<ViewCache>, Follower) {
    let config = CacheConfig { memory_bytes: 1 << 20, absent_bytes: 1 << 20, ..CacheConfig::default() };
    let views = ViewCache::new(store.clone(), &config, None, now);
    let follower = Follower::start(store.clone(), views.clone(), Duration::from_millis(1), now).await.unwrap();
    (views, follower)
}

async fn version(views: &Arc<ViewCache>, n: u8) -> Version {
    views.get(subject(n), Version::ABSENT).await.map(|a| a.entry.held.version).unwrap()
}

/// Asks for a subject, whose load has read the store and waits at the gate.
async fn ask_and_hold_up(store: &TestStore, views: &Arc<ViewCache>, n: u8) -> JoinHandle<Result<Answer, LookupError>> {
    store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (views, lookups) = (views.clone(), store.lookups.load(Ordering::Relaxed));
    let asked = tokio::spawn(async move { views.get(subject(n), Version::ABSENT).await });
    while store.lookups.load(Ordering::Relaxed) == lookups {
        tokio::task::yield_now().await;
    }
    asked
}

#[tokio::test]
async fn a_thousand_waiters_make_one_load() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let asked = (0..1_000).map(|_| {
        let views = views.clone();
        tokio::spawn(async move { version(&views, 1).await })
    });
    for answer in asked.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), Version(1));
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_looked_before_a_load_ended_finds_what_it_brought() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    version(&views, 1).await;
    // As somebody does whose look was before that.
    let (load, joined) = views.load(subject(1), Origin::Disk);
    let (entry, origin) = load.await.unwrap();
    assert_eq!((joined, origin, entry.held.version), (false, Origin::Memory, Version(1)));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_load_under_way_never_replaces_a_change() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    let asked = ask_and_hold_up(&store, &views, 1).await;
    store.write(subject(1)); // the load has read version 1 and waits
    follower.poll().await.unwrap();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(asked.await.unwrap().ok().unwrap().entry.held.version, Version(2));
    assert_eq!(version(&views, 1).await, Version(2));
}

#[tokio::test]
async fn a_waiter_that_goes_away_does_not_end_the_load() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let asked = ask_and_hold_up(&store, &views, 1).await;
    asked.abort();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    while views.loads.contains(subject(1)) {
        tokio::task::yield_now().await;
    }
    assert!(views.peek(subject(1), Version::ABSENT, now()).is_some_and(|a| a.fresh));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_load_is_true_of_its_beginning() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, _follower) = cache(&store).await;
    let began = now();
    let asked = ask_and_hold_up(&store, &views, 1).await;
    advance(5_000); // whatever is written meanwhile may not be in it
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    let answer = asked.await.unwrap().ok().unwrap();
    assert!(!answer.fresh && answer.as_of == began);
}

#[tokio::test]
async fn a_row_alone_is_true_of_no_more_than_the_last_complete_poll() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let polled_at = views.polled_at();
    advance(10);
    let second = store.write(subject(1));
    store.write(subject(1));
    advance(10); // both are acknowledged when the poll begins that reads the first
    views.apply(subject(1), VersionedView { version: second, view: view(subject(1)) });
    let between = views.peek(subject(1), Version::ABSENT, now()).unwrap();
    assert!(between.entry.held.version == second && between.as_of == polled_at);
    follower.poll().await.unwrap();
    assert_eq!(version(&views, 1).await, Version(3));
}

#[tokio::test]
async fn with_the_store_dead_answers_grow_stale_and_then_end() {
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
async fn superseded_is_never_served_even_with_the_store_dead() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.write(subject(1));
    follower.poll().await.unwrap();
    views.memory.remove(subject(1)); // evicted; the ledger remembers version 2
    store.failing.store(true, Ordering::Relaxed);
    assert_eq!(views.get(subject(1), Version::ABSENT).await.err(), Some(LookupError::Unavailable));
    // What the client has seen binds too.
    store.failing.store(false, Ordering::Relaxed);
    assert_eq!(views.get(subject(1), Version(3)).await.err(), Some(LookupError::BeingUpdated));
}

#[tokio::test]
async fn absence_is_proved_and_ends_with_the_first_change() {
    let store = TestStore::new();
    let (views, mut follower) = cache(&store).await;
    assert_eq!(version(&views, 1).await, Version::ABSENT);
    let again = views.get(subject(1), Version::ABSENT).await.unwrap();
    assert!(again.fresh && again.entry.is_absent() && store.lookups.load(Ordering::Relaxed) == 1);
    store.write(subject(1));
    follower.poll().await.unwrap();
    assert_eq!(version(&views, 1).await, Version(1));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
    assert_eq!(views.memory.entries(), (1, 0));
}

#[tokio::test]
async fn rows_that_expired_unread_begin_a_generation() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let polled_at = views.polled_at();
    advance(10);
    store.write(subject(1));
    store.expire();
    follower.poll().await.unwrap();
    // What was true stays true of its moment, and is loaded behind.
    let old = views.get(subject(1), Version::ABSENT).await.ok().unwrap();
    assert!(!old.fresh && old.as_of == polled_at && old.entry.held.version == Version(1));
    while views.loads.under_way() > 0 {
        tokio::task::yield_now().await;
    }
    let new = views.peek(subject(1), Version::ABSENT, now()).unwrap();
    assert!(new.fresh && new.entry.held.version == Version(2));
}

#[tokio::test]
async fn a_stream_may_have_come_and_gone_when_nobody_looked_for_long() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let generation = views.generation();
    store.pass_by(subject(1));
    follower.poll().await.unwrap();
    advance(follower::AWAY.as_millis() as i64);
    store.expire();
    follower.poll().await.unwrap();
    assert_eq!(views.generation(), generation, "what it has read may go");
    store.pass_by(subject(1));
    advance(follower::AWAY.as_millis() as i64 + 1);
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

#[tokio::test]
async fn with_our_clock_ahead_of_the_stores_answers_do_not_claim_more_than_the_store_knows() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let store_says = now();
    advance(600_000);
    *store.clock.lock() = Some(store_says);
    follower.poll().await.unwrap();
    assert_eq!(views.polled_at(), store_says);
    assert_eq!(views.get(subject(2), Version::ABSENT).await.unwrap().as_of, store_says);
    // And a store whose clock is ahead does not move ours.
    *store.clock.lock() = Some(now().plus(Duration::from_secs(600)));
    follower.poll().await.unwrap();
    assert_eq!(views.polled_at(), now());
}

#[tokio::test]
async fn a_number_that_was_never_used_holds_nothing_up() {
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
async fn a_crowd_of_people_who_do_not_exist_pushes_nobody_out() {
    let store = TestStore::new();
    let (views, _follower) = cache(&store).await;
    let real = (0..=255u8).collect::<Vec<_>>();
    for n in &real {
        store.write(subject(*n));
        version(&views, *n).await;
    }
    let lookups = store.lookups.load(Ordering::Relaxed);
    // Twenty times as many as there is room for.
    for stranger in 1..=20_000u64 {
        let mut bytes = [1; 16];
        bytes[..8].copy_from_slice(&stranger.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let stranger = SubjectId::from_bytes(bytes);
        assert!(views.get(stranger, Version::ABSENT).await.is_ok_and(|answer| answer.entry.is_absent()));
    }
    let (present, absent) = views.memory.entries();
    assert!(present == real.len() && absent < 1_000, "{present} {absent}");
    for n in real {
        assert_eq!(views.get(subject(n), Version::ABSENT).await.unwrap().outcome, Outcome::HitMemory);
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 20_000);
}

#[tokio::test]
async fn many_are_what_memory_has_and_one_call_for_all_others() {
    let store = TestStore::new();
    for n in 1..=4 {
        store.write(subject(n));
    }
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let under_way = ask_and_hold_up(&store, &views, 2).await;
    // 1 is here, 2 on its way, 3 asked for twice, 4 was shown in a version that nobody has heard of, 9 is nobody.
    let asked = [1, 2, 3, 9, 3, 4].map(|n| (subject(n), if n == 4 { Version(2) } else { Version::ABSENT }));
    let (many, lookups) = (views.clone(), store.lookups.load(Ordering::Relaxed));
    let answers = tokio::spawn(async move { many.get_many(&asked).await });
    while store.lookups.load(Ordering::Relaxed) == lookups {
        tokio::task::yield_now().await;
    }
    store.write(subject(3)); // after it was read, and told before the answers are here
    follower.poll().await.unwrap();
    store.gate.add_permits(Semaphore::MAX_PERMITS);
    let answers = answers.await.unwrap();
    let told =
        answers.iter().map(|answer| answer.as_ref().map(|a| (a.entry.held.version.0, a.outcome)).map_err(|e| *e));
    use Outcome::{Coalesced, HitMemory, Miss};
    let expected = [
        Ok((1, HitMemory)),
        Ok((1, Coalesced)),
        Ok((2, Miss)),
        Ok((0, Miss)),
        Ok((2, Coalesced)),
        Err(LookupError::BeingUpdated),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert!(under_way.await.unwrap().is_ok());
    // One call for 3, 4 and 9; one more for 3, which two waited for; two more for 4.
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 4);
    store.failing.store(true, Ordering::Relaxed);
    let asked = [1, 5, 6].map(|n| (subject(n), Version::ABSENT));
    let answers = views.get_many(&asked).await;
    assert!(answers[0].is_ok() && answers[1..].iter().all(|a| matches!(a, Err(LookupError::Unavailable))));
}

#[tokio::test]
async fn somebody_elses_view_is_not_taken() {
    let (me, other) = (subject(1), subject(2));
    let held = Provenance { version: Version(1), generation: Generation(0), loaded_at: now() };
    let found = VersionedView { version: Version(1), view: view(other) };
    assert!(matches!(Entry::new(me, Some(found), held), Err(StoreError::Corrupt { .. })));
}
