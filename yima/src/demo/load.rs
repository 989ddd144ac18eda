//! Loads the synthetic population into an empty store.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::WriterStore;
use yima_store::embedded::{EmbeddedStore, ImportedSubject};

use super::people::People;
use super::population::{MAX_PEOPLE, document, person};
use crate::error::Failure;

/// Loads `population` people, unless the store has anything already. Blocks its thread.
///
/// # Errors
/// More people than there are numbers, or the store's errors.
pub fn load(
    store: &EmbeddedStore,
    data_dir: &Path,
    population: u64,
    pseudonyms: &PseudonymKey,
    rules: &Rules,
    now: Time,
) -> Result<(), Failure> {
    if population > MAX_PEOPLE {
        return Err(Failure::Usage(format!("--population: expected at most {MAX_PEOPLE}")));
    }
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

fn progress_bar(population: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("loading the demo population {bar:40} {human_pos}/{human_len} {eta}");
    ProgressBar::new(population).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
