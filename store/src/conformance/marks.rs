//! Marks: what a writer that died leaves to its successor.

use std::collections::BTreeSet;

use super::fixture::{change, event, publish, subject};
use super::{ConformanceError, Harness, ensure};
use crate::{Appended, Mark, Published};

fn marks(outcomes: &[Appended]) -> Vec<Mark> {
    let mark = |o: &Appended| match o {
        Appended::New(mark) | Appended::Duplicate(mark) => Some(*mark),
        Appended::Conflict | Appended::Full | Appended::NotTried => None,
    };
    outcomes.iter().filter_map(mark).collect()
}

pub(super) async fn marks_settle_by_publication(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (folded, left) = (subject(), subject());
    let stream = store.open_stream().await?;
    let settled = marks(&store.append(vec![event(folded, "a", 0, 0)]).await?);
    let first = marks(&store.append(vec![event(left, "a", 0, 0)]).await?);
    let again = marks(&store.append(vec![event(left, "a", 0, 0)]).await?);
    ensure!(settled.len() + first.len() + again.len() == 3, "an appended event has no mark");
    let published = store.publish(stream, vec![change(folded, 1)], settled).await?;
    ensure!(published == Published::Open, "an open stream refused a change");

    let store = harness.reopen(store).await;
    let found: BTreeSet<_> = store.unsettled().await?.into_iter().filter(|(_, s)| [folded, left].contains(s)).collect();
    let expected: BTreeSet<_> = first.iter().chain(&again).map(|mark| (*mark, left)).collect();
    ensure!(found.is_superset(&expected), "{} marks are left of 2", found.len());
    // What was settled just before the end may be listed: folding it again changes nothing.
    ensure!(found.len() <= 3, "{} marks are left of 3 that there ever were", found.len());

    let stream = store.open_stream().await?;
    store.publish(stream, vec![change(left, 1)], found.iter().map(|(mark, _)| *mark).collect()).await?;
    let of_left = |found: Vec<(Mark, _)>| found.iter().filter(|(_, s)| [folded, left].contains(s)).count();
    ensure!(of_left(store.unsettled().await?) == 0, "a mark settled by the next process is still there");
    let store = harness.reopen(store).await;
    ensure!(of_left(store.unsettled().await?) == 0, "a settled mark came back");
    Ok(())
}

pub(super) async fn marks_of_a_living_writer_are_not_left_over(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let stream = store.open_stream().await?;
    publish(&*store, stream, vec![change(s, 1)]).await?;
    store.append(vec![event(s, "a", 0, 0)]).await?;
    let left = store.unsettled().await?;
    ensure!(left.iter().all(|(_, subject)| *subject != s), "a living writer's mark is listed as left over");
    Ok(())
}
