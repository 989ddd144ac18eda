//! Loads end with the requests that wait for them.

use std::future::poll_fn;
use std::pin::pin;

use tokio::time::{Instant, sleep};
use yima_service::http::deadline;

use super::*;

const STEP: Duration = Duration::from_millis(100);

/// A cache that calls the store once at a time, and the store with its gate closed.
async fn cache_of_one_load() -> (Arc<TestStore>, Arc<ViewCache>) {
    let store = TestStore::new();
    for n in 1..=3 {
        store.write(subject(n));
    }
    let config = CacheConfig { concurrent_loads: 1, ..small() };
    let views = ViewCache::new(store.clone(), &config, None, now);
    Follower::start(store.clone(), views.clone(), Duration::from_millis(1), now).await.unwrap();
    store.gate.forget_permits(Semaphore::MAX_PERMITS);
    (store, views)
}

/// A request that looks a subject up, and the moment at which it has its answer.
fn request(
    views: &Arc<ViewCache>,
    n: u8,
    within: Option<Duration>,
) -> JoinHandle<(Result<Version, LookupError>, Instant)> {
    let (views, deadline) = (views.clone(), within.map(|within| Instant::now() + within));
    tokio::spawn(async move {
        let mut lookup = pin!(views.get(subject(n), Version::ABSENT));
        let answer = poll_fn(|cx| deadline::within(deadline, || lookup.as_mut().poll(cx))).await;
        (answer.map(|answer| answer.entry.version()), Instant::now())
    })
}

fn open(store: &TestStore) {
    store.gate.add_permits(Semaphore::MAX_PERMITS);
}

#[tokio::test(start_paused = true)]
async fn a_queued_load_whose_requests_have_all_gone_is_not_made() {
    let (store, views) = cache_of_one_load().await;
    let first = request(&views, 1, None);
    sleep(STEP).await;
    let queued = [request(&views, 2, None), request(&views, 2, None)];
    let many = {
        let views = views.clone();
        tokio::spawn(async move { views.get_many(&[(subject(3), Version::ABSENT)]).await.len() })
    };
    sleep(STEP).await;
    assert_eq!(views.single_flight.count(), 3);
    queued.iter().for_each(JoinHandle::abort);
    many.abort();
    sleep(STEP).await;
    assert_eq!(views.single_flight.count(), 1, "their places in the queue are free");
    open(&store);
    assert_eq!(first.await.unwrap().0, Ok(Version(1)));
    sleep(STEP).await;
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
    // Who comes after that is answered.
    assert_eq!(request(&views, 2, None).await.unwrap().0, Ok(Version(1)));
}

#[tokio::test(start_paused = true)]
async fn a_queued_load_is_made_while_one_request_waits() {
    let (store, views) = cache_of_one_load().await;
    let first = request(&views, 1, None);
    sleep(STEP).await;
    let (gone, waits) = (request(&views, 2, None), request(&views, 2, None));
    sleep(STEP).await;
    gone.abort();
    sleep(STEP).await;
    open(&store);
    assert_eq!((first.await.unwrap().0, waits.await.unwrap().0), (Ok(Version(1)), Ok(Version(1))));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_the_store_ends_with_the_last_deadline_of_its_requests() {
    let (store, views) = cache_of_one_load().await;
    let begun = Instant::now();
    let early = request(&views, 1, Some(STEP));
    let late = request(&views, 1, Some(STEP * 3));
    let (answer, at) = late.await.unwrap();
    assert_eq!(answer, Err(LookupError::Unavailable));
    assert!((STEP * 3..STEP * 4).contains(&(at - begun)), "{:?}, and not the load's second", at - begun);
    assert_eq!(early.await.unwrap().1, at, "one load for both");
    assert_eq!(views.single_flight.count(), 0);
    assert_eq!(views.store.breaker_state(), BreakerState::Closed);
    open(&store);
    assert_eq!(request(&views, 1, Some(STEP)).await.unwrap().0, Ok(Version(1)));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_deadline_has_the_whole_time_of_a_load() {
    let (store, views) = cache_of_one_load().await;
    let (early, unlimited) = (request(&views, 1, Some(STEP)), request(&views, 1, None));
    sleep(STEP * 5).await;
    open(&store);
    assert_eq!((early.await.unwrap().0, unlimited.await.unwrap().0), (Ok(Version(1)), Ok(Version(1))));
    assert_eq!(store.lookups.load(Ordering::Relaxed), 1);
}
