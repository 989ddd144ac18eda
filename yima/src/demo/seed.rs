//! Seeds an empty store with the demo population: the embedded store by an import beneath the writer, a CQL store by
//! commits.

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
use yima_writer::{refold, resource_index};

use super::people::People;
use super::population::{MAX_PEOPLE, document, person};
use crate::error::CommandError;
use crate::store::WriteStore;

/// People in one commit.
const BATCH: u64 = 500;
/// Concurrent commits.
const CONCURRENT: usize = 4;

/// Checks that there are document numbers for so many people.
///
/// # Errors
/// There are not.
pub fn check(population: u64) -> Result<(), CommandError> {
    if population > MAX_PEOPLE {
        return Err(CommandError::Usage(format!("--population: expected at most {MAX_PEOPLE}")));
    }
    Ok(())
}

/// Seeds a store with a demo population that [`check`] accepts.
pub struct Seeding<'a> {
    /// Where `demo.toml` records the population.
    pub data_dir: &'a Path,
    /// Number of people; 0 seeds nothing.
    pub population: u64,
    /// The key of the store's subject ids.
    pub pseudonyms: &'a PseudonymKey,
    /// The present: the people's events are dated before it.
    pub now: Time,
}

impl Seeding<'_> {
    /// Seeds `store`, whose writer is `folder`, unless the store already has a population. Nothing else may be writing
    /// or reading yet.
    ///
    /// # Errors
    /// The store fails, or `demo.toml` cannot be written.
    pub async fn run(self, store: &WriteStore, folder: &Arc<Folder>) -> Result<(), CommandError> {
        if self.population == 0 {
            return Ok(());
        }
        match store {
            WriteStore::Embedded(store) => {
                let (store, folder, now) = (store.clone(), folder.clone(), self.now);
                let (data_dir, population, pseudonyms) =
                    (self.data_dir.to_owned(), self.population, self.pseudonyms.clone());
                let (imported_store, rules) = (store.clone(), folder.rules().version);
                let imported = tokio::task::spawn_blocking(move || {
                    let seeding = Seeding { data_dir: &data_dir, population, pseudonyms: &pseudonyms, now };
                    seeding.import(&store, folder.rules())
                });
                if imported.await.map_err(|_| INTERRUPTED)?? {
                    refold::save_complete(&*imported_store, rules, now).await?;
                    resource_index::save_complete(&*imported_store, now).await?;
                }
                Ok(())
            }
            WriteStore::Cql(store) => self.commit(&**store, folder).await,
        }
    }

    /// Imports the population beneath the writer, unless the store has events. Blocks its thread.
    fn import(&self, store: &EmbeddedStore, rules: &Rules) -> Result<bool, CommandError> {
        let Self { population, pseudonyms, now, .. } = *self;
        if !store.is_empty()? {
            return Ok(false);
        }
        let bar = progress_bar(population);
        // The import is in the order of subject ids.
        let mut ids: Vec<_> = (0..population).map(|n| (pseudonyms.subject(&document(n)), n)).collect();
        ids.sort_unstable();
        let version = Version::ABSENT.next(store.epoch());
        let people = ids.into_iter().map(|(subject, n)| {
            let (_, events) = person(n, now, pseudonyms);
            let view = derive(&events, rules).encode();
            ImportedSubject { subject, events, version, view }
        });
        // Recorded first: an interrupted import leaves an empty store, and the next one records again.
        People { population, loaded_at: now }.write(self.data_dir)?;
        store.import(people, |done| bar.set_position(done))?;
        finish(&bar, population);
        Ok(true)
    }

    /// Commits the population as agencies' events are committed, unless the first person has a view already.
    async fn commit(&self, store: &dyn WriterStore, folder: &Arc<Folder>) -> Result<(), CommandError> {
        let Self { population, pseudonyms, .. } = *self;
        if store.lookup(pseudonyms.subject(&document(0))).await?.is_some() {
            return Ok(());
        }
        // An interrupted seeding is repeated as of the same moment, so that its events have the same content.
        let first: Vec<_> = (1..population.min(BATCH)).map(|n| pseudonyms.subject(&document(n))).collect();
        let earlier = store.events(&first).await?.into_iter().flatten().map(|event| event.received_at).min();
        let loaded_at = earlier.unwrap_or(self.now);
        People { population, loaded_at }.write(self.data_dir)?;
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
        let (mut batches, mut conflicts) = (JoinSet::new(), 0);
        for from in (1..population).step_by(BATCH as usize) {
            if batches.len() == CONCURRENT {
                conflicts += conflicts_of(batches.join_next().await)?;
            }
            batches.spawn(batch(from..population.min(from + BATCH)));
        }
        while let done @ Some(_) = batches.join_next().await {
            conflicts += conflicts_of(done)?;
        }
        // The first person is committed last: their view proves that the population is complete.
        conflicts += batch(0..1).await?;
        finish(&bar, population);
        if conflicts > 0 {
            tracing::warn!(
                conflicts,
                "events of a demo population seeded at another moment exist already and are kept"
            );
        }
        Ok(())
    }
}

const INTERRUPTED: CommandError = CommandError::Interrupted("seeding the demo population");

/// The number of conflicts in a finished batch.
fn conflicts_of(batch: Option<Result<Result<usize, StoreError>, JoinError>>) -> Result<usize, CommandError> {
    match batch {
        None => Ok(0),
        Some(Ok(conflicts)) => Ok(conflicts?),
        Some(Err(_)) => Err(INTERRUPTED),
    }
}

fn progress_bar(population: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("seeding the demo population {bar:40} {human_pos}/{human_len} {eta}");
    ProgressBar::new(population).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn finish(bar: &ProgressBar, population: u64) {
    bar.finish_and_clear();
    tracing::info!(population, seconds = bar.elapsed().as_secs(), "seeded the demo population");
}
