//! Marks that a dead writer leaves to its successor.

use std::collections::BTreeSet;

use super::fixture::{change, event, publish, subject};
use super::{ConformanceError, Harness, ensure};
use crate::{Appended, Mark, Published};

fn marks(outcomes: &[Appended]) -> Vec<Mark> {
    let mark = |o: &Appended| match o {
        Appended::New(mark) | Appended::Duplicate(mark) => Some(*mark),
        Appended::Folded | Appended::Settled | Appended::Conflict | Appended::Full | Appended::NotTried => None,
    };
    outcomes.iter().filter_map(mark).collect()
}

pub(super) async fn publication_settles_marks(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (folded, owed) = (subject(), subject());
    let stream = store.open_stream().await?;
    let settled = marks(&store.append(vec![event(folded, "a", 0, 0)]).await?);
    let first = marks(&store.append(vec![event(owed, "a", 0, 0)]).await?);
    let again = marks(&store.append(vec![event(owed, "a", 0, 0)]).await?);
    ensure!(settled.len() + first.len() + again.len() == 3, "an appended event has no mark");
    let published = store.publish(stream, vec![change(folded, 1)], settled).await?;
    ensure!(published == Published::Open, "an open stream refused a change");

    let store = harness.reopen(store).await;
    let found: BTreeSet<_> = store.unsettled().await?.into_iter().filter(|(_, s)| [folded, owed].contains(s)).collect();
    let expected: BTreeSet<_> = first.iter().chain(&again).map(|mark| (*mark, owed)).collect();
    ensure!(found.is_superset(&expected), "{} of 2 marks are unsettled", found.len());
    // A mark settled just before the end may be returned: folding it again changes nothing.
    ensure!(found.len() <= 3, "{} marks are unsettled of 3 that were ever written", found.len());

    let stream = store.open_stream().await?;
    store.publish(stream, vec![change(owed, 1)], found.iter().map(|(mark, _)| *mark).collect()).await?;
    let unsettled = |found: Vec<(Mark, _)>| found.iter().filter(|(_, s)| [folded, owed].contains(s)).count();
    ensure!(unsettled(store.unsettled().await?) == 0, "a mark settled by the next process is still unsettled");
    let store = harness.reopen(store).await;
    ensure!(unsettled(store.unsettled().await?) == 0, "a settled mark came back");
    Ok(())
}

pub(super) async fn marks_of_a_living_writer_are_not_unsettled(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let stream = store.open_stream().await?;
    publish(&*store, stream, vec![change(s, 1)]).await?;
    store.append(vec![event(s, "a", 0, 0)]).await?;
    let unsettled = store.unsettled().await?;
    ensure!(unsettled.iter().all(|(_, subject)| *subject != s), "a living writer's mark is returned as unsettled");
    Ok(())
}
