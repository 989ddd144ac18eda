//! Loads the synthetic population into an empty store.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::{JoinError, JoinSet};
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedStore, ImportedSubject};
use yima_store::{StoreError, WriterStore};
use yima_writer::fold::{CommitOutcome, Folder};

use super::people::People;
use super::population::{MAX_PEOPLE, document, person};
use crate::error::CommandError;

/// People in one commit.
const BATCH: u64 = 500;
/// Commits under way at once.
const CONCURRENT: usize = 4;

/// Puts `population` people beneath the writer, unless the store has anything already. Blocks its thread.
///
/// # Errors
/// More people than there are numbers, or the store's errors.
pub fn import(
    store: &EmbeddedStore,
    data_dir: &Path,
    population: u64,
    pseudonyms: &PseudonymKey,
    rules: &Rules,
    now: Time,
) -> Result<(), CommandError> {
    check(population)?;
    if population == 0 || !store.is_empty()? {
        return Ok(());
    }
    let bar = progress_bar(population);
    // The store takes people in the order of their ids.
    let mut ids: Vec<_> = (0..population).map(|n| (pseudonyms.subject(&document(n)), n)).collect();
    ids.sort_unstable();
    let version = Version::ABSENT.next(store.epoch());
    let people = ids.into_iter().map(|(subject, n)| {
        let (_, events) = person(n, now, pseudonyms);
        let view = derive(&events, rules).encode();
        ImportedSubject { subject, events, version, view }
    });
    // Remembered first: an import that is cut short leaves an empty store, and this is written again.
    People { population, loaded_at: now }.write(data_dir)?;
    store.import(people, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    tracing::info!(population, seconds = bar.elapsed().as_secs(), "loaded the demo population");
    Ok(())
}

/// Sends `population` people the way that agencies' events take, unless the first of them has a view already.
///
/// # Errors
/// More people than there are numbers, or the store's errors.
pub async fn commit(
    folder: &Arc<Folder>,
    store: &dyn WriterStore,
    data_dir: &Path,
    population: u64,
    pseudonyms: &PseudonymKey,
    now: Time,
) -> Result<(), CommandError> {
    check(population)?;
    if population == 0 || store.lookup(pseudonyms.subject(&document(0))).await?.is_some() {
        return Ok(());
    }
    // A load that was cut short is done again as of the same moment, so that its events are what they were.
    let first: Vec<_> = (1..population.min(BATCH)).map(|n| pseudonyms.subject(&document(n))).collect();
    let earlier = store.events(&first).await?.into_iter().flatten().map(|event| event.received_at).min();
    let loaded_at = earlier.unwrap_or(now);
    People { population, loaded_at }.write(data_dir)?;
    let bar = progress_bar(population);
    let batch = |numbers: Range<u64>| {
        let (folder, pseudonyms, bar) = (folder.clone(), pseudonyms.clone(), bar.clone());
        async move {
            let events = numbers.clone().flat_map(|n| person(n, loaded_at, &pseudonyms).1).collect();
            let outcomes = folder.commit(events).await?;
            bar.inc(numbers.end - numbers.start);
            Ok::<_, StoreError>(outcomes.into_iter().filter(|o| *o == CommitOutcome::Conflict).count())
        }
    };
    let (mut under_way, mut conflicts) = (JoinSet::new(), 0);
    for from in (1..population).step_by(BATCH as usize) {
        if under_way.len() == CONCURRENT {
            conflicts += finished(under_way.join_next().await)?;
        }
        under_way.spawn(batch(from..population.min(from + BATCH)));
    }
    while let done @ Some(_) = under_way.join_next().await {
        conflicts += finished(done)?;
    }
    // The first person is the last, whose view tells that everybody is there.
    conflicts += batch(0..1).await?;
    bar.finish_and_clear();
    if conflicts > 0 {
        tracing::warn!(conflicts, "events of a demo population loaded at another moment were there already, and stay");
    }
    tracing::info!(population, seconds = bar.elapsed().as_secs(), "loaded the demo population");
    Ok(())
}

fn finished(batch: Option<Result<Result<usize, StoreError>, JoinError>>) -> Result<usize, CommandError> {
    match batch {
        None => Ok(0),
        Some(Ok(conflicts)) => Ok(conflicts?),
        Some(Err(_)) => Err(CommandError::Usage("loading the demo population was interrupted".into())),
    }
}
fn check(population: u64) -> Result<(), CommandError> {
    if population > MAX_PEOPLE {
        return Err(CommandError::Usage(format!("--population: expected at most {MAX_PEOPLE}")));
    }
    Ok(())
}

fn progress_bar(population: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("loading the demo population {bar:40} {human_pos}/{human_len} {eta}");
    ProgressBar::new(population).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
