//! Lookups and compare-and-set of views.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use yima_schema::view::Version;

use super::fixture::{set_one, subject, view, write};
use super::{ConformanceError, Harness, ensure};
use crate::CompareAndSet;

pub(super) async fn an_absent_view_is_none(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    ensure!(store.lookup(subject()).await?.is_none(), "a subject without a view has one");
    ensure!(store.lookup_many(&[]).await?.is_empty(), "no subjects had views");
    Ok(())
}

pub(super) async fn lookup_many_keeps_the_order(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let v1 = Version::ABSENT.next(store.epoch());
    let subjects: Vec<_> = (0..60).map(|_| subject()).collect();
    // Every third has no view.
    let with = |n: usize| (!n.is_multiple_of(3)).then(|| view(n as u32));
    let writes =
        (0..60_usize).filter(|n| !n.is_multiple_of(3)).map(|n| write(subjects[n], Version::ABSENT, v1, n as u32));
    let outcomes = store.compare_and_set(writes.collect()).await?;
    ensure!(outcomes == vec![CompareAndSet::Set; 40], "first views of 40 subjects were not all set");
    for range in [0..60, 0..7] {
        let found = store.lookup_many(&subjects[range.clone()]).await?;
        let found: Vec<_> = found.into_iter().map(|v| v.map(|v| v.view)).collect();
        ensure!(
            found == range.map(with).collect::<Vec<_>>(),
            "views are not in the order given, or not the written ones"
        );
    }
    let twice = store.lookup_many(&[subjects[1], subjects[0], subjects[1]]).await?;
    ensure!(
        twice.len() == 3 && twice[0] == twice[2] && twice[0].is_some(),
        "a subject given twice is not answered twice"
    );
    Ok(())
}

pub(super) async fn a_write_at_the_expected_version_is_set(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let v1 = Version::ABSENT.next(store.epoch());
    let v2 = Version(v1.0 + 5); // versions may skip
    for (expected, next) in [(Version::ABSENT, v1), (v1, v2)] {
        let outcome = set_one(&*store, write(s, expected, next, next.0 as u32)).await?;
        ensure!(outcome == CompareAndSet::Set, "a write at the stored version was lost");
        let found = store.lookup(s).await?;
        ensure!(
            found.is_some_and(|f| f.version == next && f.view == view(next.0 as u32)),
            "a view that was set is not stored"
        );
    }
    Ok(())
}

pub(super) async fn a_write_at_another_version_is_lost(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let v1 = Version::ABSENT.next(store.epoch());
    let v2 = Version(v1.0 + 1);
    let outcome = set_one(&*store, write(s, v1, v2, 1)).await?;
    ensure!(outcome == CompareAndSet::Lost, "a write over an absent view was set");
    set_one(&*store, write(s, Version::ABSENT, v1, 2)).await?;
    for expected in [Version::ABSENT, v2] {
        let outcome = set_one(&*store, write(s, expected, Version(v1.0 + 9), 3)).await?;
        ensure!(outcome == CompareAndSet::Lost, "a write at another version was set");
    }
    let found = store.lookup(s).await?;
    ensure!(found.is_some_and(|f| f.version == v1 && f.view == view(2)), "a lost write changed the view");
    Ok(())
}

pub(super) async fn the_second_of_two_writes_in_one_call_is_lost(
    harness: &dyn Harness,
) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (s, other) = (subject(), subject());
    let v1 = Version::ABSENT.next(store.epoch());
    let both = vec![
        write(s, Version::ABSENT, v1, 1),
        write(other, Version::ABSENT, v1, 2),
        write(s, Version::ABSENT, Version(v1.0 + 1), 3),
    ];
    let outcomes = store.compare_and_set(both).await?;
    ensure!(outcomes == [CompareAndSet::Set, CompareAndSet::Set, CompareAndSet::Lost], "set, set, lost: {outcomes:?}");
    ensure!(store.lookup(s).await?.is_some_and(|f| f.view == view(1)), "the lost one of two writes is stored");
    Ok(())
}

pub(super) async fn one_of_eight_contenders_wins_each_version(harness: &dyn Harness) -> Result<(), ConformanceError> {
    const CONTENDERS: u32 = 8;
    const ROUNDS: usize = 25;
    let store = harness.open().await;
    let s = subject();
    let mut version = Version::ABSENT;
    for _ in 0..ROUNDS {
        let next = version.next(store.epoch());
        let start = Arc::new(Barrier::new(CONTENDERS as usize));
        let mut contenders = JoinSet::new();
        for number in 0..CONTENDERS {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            contenders.spawn(async move {
                start.wait().await;
                let outcome = set_one(&*store, write(s, version, next, number)).await?;
                Ok::<_, ConformanceError>((outcome, number))
            });
        }
        let mut winners = Vec::new();
        while let Some(done) = contenders.join_next().await {
            let (outcome, number) = done??;
            if outcome == CompareAndSet::Set {
                winners.push(number);
            }
        }
        let [winner] = winners[..] else {
            return Err(ConformanceError(format!("{} of 8 contenders won one version", winners.len())));
        };
        let found = store.lookup(s).await?;
        ensure!(
            found.is_some_and(|f| f.version == next && f.view == view(winner)),
            "the stored view is not the winner's"
        );
        version = next;
    }
    Ok(())
}

pub(super) async fn the_epoch_bounds_versions(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let epoch = store.epoch();
    ensure!(epoch >= 1, "an epoch of 0 leaves no room below");
    let below = (u64::from(epoch) << 48) - 1;
    let refused = store.compare_and_set(vec![write(subject(), Version::ABSENT, Version(below), 1)]).await;
    ensure!(refused.is_err(), "a version below the epoch was written");
    let store = harness.reopen(store).await;
    ensure!(store.epoch() == epoch, "a restart changed the epoch");
    Ok(())
}
