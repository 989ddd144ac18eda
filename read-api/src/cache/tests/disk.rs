//! Restarts on a disk tier: which views a node can serve again, and which it must not believe.

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::cache::audit::Audit;
use crate::cache::disk::{DiskOptions, Identity};

pub fn options(directory: &TempDir) -> DiskOptions {
    let identity = Identity { region: "xian".into(), pseudonyms: [7; 16] };
    DiskOptions { path: directory.path().join("cache"), max_bytes: 1 << 30, identity }
}

/// A node at its start: the store is not called before the follower polls.
pub fn start(store: &Arc<TestStore>, options: DiskOptions) -> (Arc<ViewCache>, Follower) {
    let config =
        CacheConfig { memory_bytes: 1 << 20, absent_bytes: 1 << 20, ledger_entries: 512, ..CacheConfig::default() };
    let (disk, state) = Disk::open(options).expect("no other process uses it");
    let views = ViewCache::new(store.clone(), &config, Some((disk, state.as_ref())), now);
    let follower = Follower::new(store.clone(), views.clone(), state, Duration::from_millis(1), now);
    (views, follower)
}

async fn get(views: &Arc<ViewCache>, n: u8) -> Result<Answer, LookupError> {
    views.get(subject(n), Version::ABSENT).await
}

/// Fills a disk tier with the first versions of subjects 1 and 2, looked up and followed.
async fn fill_disk(store: &Arc<TestStore>, directory: &TempDir) {
    store.write(subject(1));
    store.write(subject(2));
    let (views, mut follower) = start(store, options(directory));
    follower.poll().await.unwrap();
    assert!(get(&views, 1).await.unwrap().fresh && get(&views, 2).await.unwrap().fresh);
    advance(10);
    follower.poll().await.unwrap();
}

#[tokio::test]
async fn a_restart_with_the_store_down_serves_stale_views_with_their_as_of() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    let stopped_at = now();
    store.failing.store(true, Ordering::Relaxed);
    advance(60_000);
    let (views, mut follower) = start(&store, options(&directory));
    assert!(follower.poll().await.is_err());
    let answer = get(&views, 1).await.unwrap();
    // The state is saved once a second: it may lag by that.
    assert!(answer.as_of <= stopped_at && stopped_at.since(answer.as_of) <= Duration::from_secs(1));
    assert!(!answer.fresh && answer.outcome == Outcome::Stale && answer.entry.version() == Version(1));
    assert_eq!(get(&views, 3).await.err(), Some(LookupError::Unavailable));
}

#[tokio::test]
async fn a_load_before_the_first_poll_does_not_believe_a_clock_that_is_ahead() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    let stopped_at = now();
    store.write(subject(3));
    // This node's clock is ten minutes ahead of the store's, which nothing has told it yet.
    *store.clock.lock() = Some(stopped_at);
    advance(600_000);
    let (views, mut follower) = start(&store, options(&directory));
    for n in [1, 3] {
        let answer = views.bypass(subject(n), Version::ABSENT).await.unwrap();
        assert!(answer.as_of <= stopped_at, "{} claims more than the store's {stopped_at}", answer.as_of);
    }
    let read_at = Instant::now(); // the store's clock, which goes on since
    follower.poll().await.unwrap();
    let answer = views.bypass(subject(3), Version::ABSENT).await.unwrap();
    assert!(answer.as_of <= stopped_at.plus(read_at.elapsed()));
    assert!(stopped_at.since(answer.as_of) < Duration::from_secs(1));
}

#[tokio::test]
async fn after_the_feed_was_followed_disk_entries_are_fresh_without_a_load() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    store.write(subject(2));
    let lookups = store.lookups.load(Ordering::Relaxed);
    advance(60_000);
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    for (n, version) in [(1, 1), (2, 2)] {
        let answer = get(&views, n).await.unwrap();
        assert!(answer.fresh && answer.outcome == Outcome::HitDisk && answer.entry.version() == Version(version));
        assert_eq!(get(&views, n).await.unwrap().outcome, Outcome::HitMemory);
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups);
}

#[tokio::test]
async fn changes_missed_during_downtime_make_every_disk_entry_stale() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    store.write(subject(1));
    store.expire();
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    assert!(!get(&views, 1).await.unwrap().fresh);
    while views.single_flight.count() > 0 {
        tokio::task::yield_now().await;
    }
    let answer = get(&views, 1).await.unwrap();
    assert!(answer.fresh && answer.entry.version() == Version(2));
}

/// foyer kept the older disk copy when a write was dropped, and brought removed and replaced entries back after a
/// crash.
#[tokio::test]
async fn a_change_reaches_the_disk_of_a_subject_that_is_not_in_memory() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    {
        let (views, mut follower) = start(&store, options(&directory));
        store.write(subject(1));
        follower.poll().await.unwrap();
        assert_eq!(entries(&views), (0, 0));
    }
    store.failing.store(true, Ordering::Relaxed);
    let (views, _follower) = start(&store, options(&directory));
    assert_eq!(get(&views, 1).await.unwrap().entry.version(), Version(2));
}

#[tokio::test]
async fn an_absence_from_the_store_never_replaces_a_view_on_disk() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    store.lose(subject(1));
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    let answer = views.bypass(subject(1), Version::ABSENT).await.unwrap();
    assert!(answer.entry.version() == Version(1) && answer.outcome == Outcome::HitDisk);
}

#[tokio::test]
async fn a_directory_of_another_region_is_emptied() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    let other = Identity { region: "chengdu".into(), pseudonyms: [7; 16] };
    store.failing.store(true, Ordering::Relaxed);
    let (views, _follower) = start(&store, DiskOptions { identity: other, ..options(&directory) });
    assert_eq!(get(&views, 1).await.err(), Some(LookupError::Unavailable));
}

#[tokio::test]
async fn after_a_failed_write_the_node_goes_on_and_the_next_start_believes_only_earlier_rows() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    {
        let (views, mut follower) = start(&store, options(&directory));
        follower.poll().await.unwrap();
        views.tiers.lose_disk(&crate::cache::disk::DiskError::Broken("by the test".into()));
        store.write(subject(1));
        advance(10);
        follower.poll().await.unwrap();
        let answer = get(&views, 1).await.unwrap();
        assert!(answer.fresh && answer.outcome == Outcome::Miss && answer.entry.version() == Version(2));
    }
    let lost_at = now();
    let (views, mut follower) = start(&store, options(&directory));
    let answer = get(&views, 1).await.unwrap();
    assert!(answer.entry.version() == Version(1) && answer.as_of < lost_at);
    follower.poll().await.unwrap();
    assert_eq!(get(&views, 1).await.unwrap().entry.version(), Version(2));
}

#[tokio::test]
async fn the_audit_finds_and_repairs_a_change_that_was_not_published() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    fill_disk(&store, &directory).await;
    let (views, mut follower) = start(&store, options(&directory));
    let mut audit = Audit::new(views.clone(), now);
    store.set(subject(1)); // published later
    store.set(subject(2)); // never published
    follower.poll().await.unwrap();
    audit.compare_page().await.unwrap();
    store.append_again(subject(1));
    advance(30_000);
    follower.poll().await.unwrap();
    audit.judge_suspects().await;
    assert_eq!(get(&views, 2).await.unwrap().entry.version(), Version(1), "not yet a finding");
    let lookups = store.lookups.load(Ordering::Relaxed);
    advance(31_000);
    follower.poll().await.unwrap();
    audit.judge_suspects().await;
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 1, "one of two is a finding");
    assert_eq!(get(&views, 2).await.unwrap().entry.version(), Version(2));
}
