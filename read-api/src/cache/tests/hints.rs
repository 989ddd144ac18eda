//! Hints: the change that they are about shows sooner; whatever else they say, nothing but the number of reads differs.

use tokio::sync::mpsc;
use yima_store::StreamId;

use super::store::STREAM;
use super::*;

/// What a node knows and claims.
fn knowledge(views: &ViewCache, follower: &Follower) -> impl PartialEq + std::fmt::Debug + use<> {
    let seen = |n| views.peek(subject(n), Version::ABSENT, now()).map(|a| (a.entry.version(), a.as_of, a.fresh));
    (views.polled_at(), views.generation(), follower.position(STREAM), [1, 2].map(seen))
}

#[tokio::test]
async fn a_hint_shows_a_change_and_proves_nothing() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    let polled = (views.polled_at(), store.registries.load(Ordering::Relaxed));
    advance(500);
    store.write(subject(1));
    follower.follow_hint(STREAM).await;
    let answer = views.peek(subject(1), Version::ABSENT, now()).unwrap();
    assert_eq!((answer.entry.version(), answer.as_of), (Version(2), polled.0), "newer, and true of no later moment");
    assert_eq!((views.polled_at(), store.registries.load(Ordering::Relaxed)), polled);
    follower.poll().await.unwrap();
    assert_eq!(views.polled_at(), now());
    assert_eq!(version(&views, 1).await, Version(2));
}

#[tokio::test]
async fn a_hint_that_is_wrong_repeated_or_cannot_be_followed_changes_nothing() {
    let store = TestStore::new();
    store.write(subject(1));
    let (views, mut follower) = cache(&store).await;
    version(&views, 1).await;
    store.write(subject(1));
    follower.follow_hint(STREAM).await;
    advance(10);
    let (before, reads) = (knowledge(&views, &follower), store.reads.load(Ordering::Relaxed));
    for unknown in [0, 2, u32::MAX] {
        follower.follow_hint(StreamId(unknown)).await;
    }
    assert_eq!(store.reads.load(Ordering::Relaxed), reads, "an unknown stream is not read");
    for _ in 0..5 {
        follower.follow_hint(STREAM).await;
    }
    assert_eq!(store.reads.load(Ordering::Relaxed), reads + 5, "one read each");
    store.write(subject(2));
    store.failing.store(true, Ordering::Relaxed);
    follower.follow_hint(STREAM).await;
    assert_eq!(knowledge(&views, &follower), before);
    store.failing.store(false, Ordering::Relaxed);
    store.open_stream(); // seals it
    follower.poll().await.unwrap();
    let reads = store.reads.load(Ordering::Relaxed);
    follower.follow_hint(STREAM).await;
    assert_eq!(store.reads.load(Ordering::Relaxed), reads, "a sealed stream that was read to its end is not read");
}

/// Changes beyond a number that is missing are shown, and the number is not taken for read: the next poll finds it.
#[tokio::test]
async fn a_hint_past_a_missed_change_hides_no_gap() {
    let store = TestStore::new();
    let (views, mut follower) = cache(&store).await;
    let generation = views.generation();
    store.write(subject(1));
    store.expire();
    store.write(subject(1));
    follower.follow_hint(STREAM).await;
    assert_eq!((views.newest(subject(1)), follower.position(STREAM)), (Version(2), 0));
    follower.poll().await.unwrap();
    assert_ne!(views.generation(), generation, "a change was missed");
}

#[tokio::test(start_paused = true)]
async fn neither_lost_nor_too_many_hints_delay_a_poll() {
    for flooded in [false, true] {
        let store = TestStore::new();
        let views = ViewCache::new(store.clone(), &small(), None, now);
        let every = Duration::from_millis(200);
        let follower = Follower::start(store.clone(), views.clone(), every, now).await.unwrap();
        let (hinted, hints) = mpsc::channel(1);
        if flooded {
            tokio::spawn(async move {
                while hinted.send(STREAM).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        let polls = store.registries.load(Ordering::Relaxed);
        let following = tokio::spawn(follower.run(hints));
        tokio::time::sleep(every * 10 - Duration::from_millis(1)).await;
        let polls = store.registries.load(Ordering::Relaxed) - polls;
        assert_eq!(polls, 10, "flooded: {flooded}");
        let reads = store.reads.load(Ordering::Relaxed);
        assert_eq!(reads > 1_000, flooded, "{reads} reads");
        following.abort();
    }
}
