//! Restarts over a disk tier: what a node knows again, and what it must not believe.

use tempfile::TempDir;

use super::*;
use crate::cache::audit::Audit;
use crate::cache::disk::{DiskOptions, Identity};

pub fn options(directory: &TempDir) -> DiskOptions {
    let identity = Identity { region: "xian".into(), pseudonyms: [7; 16] };
    DiskOptions { path: directory.path().join("cache"), max_bytes: 1 << 30, identity }
}

/// A node as it starts: nothing is asked of the store before its follower polls.
pub fn start(store: &Arc<TestStore>, options: DiskOptions) -> (Arc<ViewCache>, Follower) {
    let config =
        CacheConfig { memory_bytes: 1 << 20, absent_bytes: 1 << 20, ledger_entries: 512, ..CacheConfig::default() };
    let (disk, state) = Disk::open(options).expect("nobody else has it");
    let views = ViewCache::new(store.clone(), &config, Some((disk, state.as_ref())), now);
    let follower = Follower::new(store.clone(), views.clone(), state, Duration::from_millis(1), now);
    (views, follower)
}

async fn ask(views: &Arc<ViewCache>, n: u8) -> Result<Answer, LookupError> {
    views.get(subject(n), Version::ABSENT).await
}

/// A node that has followed and looked at subjects 1 and 2, at their first versions.
async fn known(store: &Arc<TestStore>, directory: &TempDir) {
    store.write(subject(1));
    store.write(subject(2));
    let (views, mut follower) = start(store, options(directory));
    follower.poll().await.unwrap();
    assert!(ask(&views, 1).await.unwrap().fresh && ask(&views, 2).await.unwrap().fresh);
    advance(10);
    follower.poll().await.unwrap();
}

#[tokio::test]
async fn a_restart_with_the_store_dead_shows_what_was_true_and_says_when() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    let begun = now();
    store.failing.store(true, Ordering::Relaxed);
    advance(60_000);
    let (views, mut follower) = start(&store, options(&directory));
    assert!(follower.poll().await.is_err());
    let answer = ask(&views, 1).await.unwrap();
    // The state is saved once a second: it may lag by that.
    assert!(answer.as_of <= begun && begun.since(answer.as_of) <= Duration::from_secs(1));
    assert!(!answer.fresh && answer.outcome == Outcome::Stale && answer.entry.held.version == Version(1));
    assert_eq!(ask(&views, 3).await.err(), Some(LookupError::Unavailable));
}

#[tokio::test]
async fn after_a_replay_entries_are_fresh_without_a_look_up() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    store.write(subject(2));
    let lookups = store.lookups.load(Ordering::Relaxed);
    advance(60_000);
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    for (n, version) in [(1, 1), (2, 2)] {
        let answer = ask(&views, n).await.unwrap();
        assert!(answer.fresh && answer.outcome == Outcome::HitDisk && answer.entry.held.version == Version(version));
        assert_eq!(ask(&views, n).await.unwrap().outcome, Outcome::HitMemory);
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups);
}

#[tokio::test]
async fn what_was_missed_while_it_was_down_makes_everything_old() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    store.write(subject(1));
    store.expire();
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    assert!(!ask(&views, 1).await.unwrap().fresh);
    while views.loads.under_way() > 0 {
        tokio::task::yield_now().await;
    }
    let answer = ask(&views, 1).await.unwrap();
    assert!(answer.fresh && answer.entry.held.version == Version(2));
}

/// foyer kept the older disk copy when a write was dropped, and brought removed and replaced entries back after a crash.
#[tokio::test]
async fn a_change_reaches_the_disk_of_who_is_not_looked_at() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    {
        let (views, mut follower) = start(&store, options(&directory));
        store.write(subject(1));
        follower.poll().await.unwrap();
        assert_eq!(views.memory.entries(), (0, 0));
    }
    store.failing.store(true, Ordering::Relaxed);
    let (views, _follower) = start(&store, options(&directory));
    assert_eq!(ask(&views, 1).await.unwrap().entry.held.version, Version(2));
}

#[tokio::test]
async fn whom_the_disk_knows_is_not_absent_because_the_store_says_so() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    store.lose(subject(1));
    let (views, mut follower) = start(&store, options(&directory));
    follower.poll().await.unwrap();
    let answer = views.bypass(subject(1), Version::ABSENT).await.unwrap();
    assert!(answer.entry.held.version == Version(1) && answer.outcome == Outcome::HitDisk);
}

#[tokio::test]
async fn a_directory_of_another_region_is_emptied() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    let other = Identity { region: "chengdu".into(), pseudonyms: [7; 16] };
    store.failing.store(true, Ordering::Relaxed);
    let (views, _follower) = start(&store, DiskOptions { identity: other, ..options(&directory) });
    assert_eq!(ask(&views, 1).await.err(), Some(LookupError::Unavailable));
}

#[tokio::test]
async fn without_its_disk_it_goes_on_and_the_next_start_believes_no_more_than_was_written() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    {
        let (views, mut follower) = start(&store, options(&directory));
        follower.poll().await.unwrap();
        views.lose_disk(&crate::cache::disk::DiskError::Broken("by the test".into()));
        store.write(subject(1));
        advance(10);
        follower.poll().await.unwrap();
        let answer = ask(&views, 1).await.unwrap();
        assert!(answer.fresh && answer.outcome == Outcome::Miss && answer.entry.held.version == Version(2));
    }
    let lost_at = now();
    let (views, mut follower) = start(&store, options(&directory));
    let answer = ask(&views, 1).await.unwrap();
    assert!(answer.entry.held.version == Version(1) && answer.as_of < lost_at);
    follower.poll().await.unwrap();
    assert_eq!(ask(&views, 1).await.unwrap().entry.held.version, Version(2));
}

#[tokio::test]
async fn a_change_that_was_not_told_is_found_and_repaired() {
    let (store, directory) = (TestStore::new(), TempDir::new().unwrap());
    known(&store, &directory).await;
    let (views, mut follower) = start(&store, options(&directory));
    let mut audit = Audit::new(views.clone(), now);
    store.set(subject(1)); // published at last
    store.set(subject(2)); // never told
    follower.poll().await.unwrap();
    audit.look().await.unwrap();
    store.append_again(subject(1));
    advance(30_000);
    follower.poll().await.unwrap();
    audit.judge_suspects().await;
    assert_eq!(ask(&views, 2).await.unwrap().entry.held.version, Version(1), "not yet a finding");
    let lookups = store.lookups.load(Ordering::Relaxed);
    advance(31_000);
    follower.poll().await.unwrap();
    audit.judge_suspects().await;
    assert_eq!(store.lookups.load(Ordering::Relaxed), lookups + 1, "one of two is a finding");
    assert_eq!(ask(&views, 2).await.unwrap().entry.held.version, Version(2));
}
