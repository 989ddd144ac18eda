//! Import of a whole population by bulk ingestion of sorted rows.

use std::cmp::Ordering;

use bytes::Bytes;
use fjall::PersistMode;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use super::committer::stopped;
use super::identity::IMPORT;
use super::tables::Tables;
use super::{EmbeddedStore, keys};
use crate::{Result, StoreError};

const STARTED: &[u8] = b"started";
const FINISHED: &[u8] = b"finished";
/// Subjects between two calls of the progress callback.
const PROGRESS_SUBJECTS: u64 = 10_000;

/// One subject to import, complete.
pub struct ImportedSubject {
    /// The subject.
    pub subject: SubjectId,
    /// All events of the subject, in any order, each once.
    pub events: Vec<StoredEvent>,
    /// The version of the view: at least `Version::ABSENT.next(epoch)`.
    pub version: Version,
    /// The view derived from the events ([`yima_schema::view::View::encode`]).
    pub view: Bytes,
}

impl EmbeddedStore {
    /// Fills an empty store from `subjects`, ascending, and returns their number. `progress` gets the number done now
    /// and then, and at the end. Blocks its thread for as long as it takes; other writes wait.
    ///
    /// All or nothing: if it does not finish, this store takes no more writes, and the next [`EmbeddedStore::open`]
    /// removes the imported rows and leaves the store empty, ready to import again.
    ///
    /// # Errors
    /// `Rejected` if the store is not empty, or `subjects` are not ascending and complete; `Unavailable` if the disk
    /// fails or a write failed before.
    pub fn import(&self, subjects: impl Iterator<Item = ImportedSubject>, progress: impl FnMut(u64)) -> Result<u64> {
        let mut usable = self.shared.usable.lock();
        let tables = &self.shared.tables;
        if !*usable {
            return Err(stopped());
        }
        if !tables.events.is_empty()? || !tables.views.is_empty()? {
            return Err(StoreError::Rejected("only an empty store can import: choose another data directory".into()));
        }
        *usable = false; // until it has finished: a write acknowledged in between would be dropped with it
        set_state(tables, STARTED)?;
        let imported = ingest(tables, self.identity.epoch, subjects, progress)?;
        set_state(tables, FINISHED)?;
        *usable = true;
        Ok(imported)
    }
}

/// Whether an import began and did not finish.
pub(super) fn was_interrupted(tables: &Tables) -> Result<bool> {
    Ok(tables.meta.get(IMPORT)?.is_some_and(|state| state.as_ref() == STARTED))
}

/// Forgets an interrupted import whose rows are removed.
pub(super) fn forget(tables: &Tables) -> Result<()> {
    let mut rows = tables.db.batch().durability(Some(PersistMode::SyncAll));
    rows.remove(tables.meta.keyspace(), IMPORT);
    rows.commit().map_err(|e| tables.meta.error(&e))
}

fn set_state(tables: &Tables, state: &[u8]) -> Result<()> {
    let mut rows = tables.db.batch().durability(Some(PersistMode::SyncAll));
    rows.insert(tables.meta.keyspace(), IMPORT, state);
    rows.commit().map_err(|e| tables.meta.error(&e))
}

fn ingest(
    tables: &Tables,
    epoch: u16,
    subjects: impl Iterator<Item = ImportedSubject>,
    mut progress: impl FnMut(u64),
) -> Result<u64> {
    let lowest = Version::ABSENT.next(epoch);
    let mut events = tables.events.keyspace().start_ingestion().map_err(|e| tables.events.error(&e))?;
    let mut views = tables.views.keyspace().start_ingestion().map_err(|e| tables.views.error(&e))?;
    let mut imported = 0;
    let mut before = None;
    for import in subjects {
        let ascending = before.replace(import.subject).is_none_or(|before| before < import.subject);
        if !ascending || import.version < lowest {
            return Err(StoreError::Rejected(
                "subjects to import must be ascending, each once, with versions not below the epoch".into(),
            ));
        }
        for (key, row) in event_rows(&import)? {
            events.write(key, row).map_err(|e| tables.events.error(&e))?;
        }
        let view = keys::encode_view(import.version, &import.view);
        views.write(import.subject.as_bytes(), view).map_err(|e| tables.views.error(&e))?;
        imported += 1;
        if imported % PROGRESS_SUBJECTS == 0 {
            progress(imported);
        }
    }
    events.finish().map_err(|e| tables.events.error(&e))?;
    views.finish().map_err(|e| tables.views.error(&e))?;
    progress(imported);
    Ok(imported)
}

/// A subject's rows of `events`, ascending.
fn event_rows(import: &ImportedSubject) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::with_capacity(import.events.len());
    for event in &import.events {
        rows.push((keys::event(event)?, event.encode()));
    }
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let of_subject = import.events.iter().all(|e| e.event.subject == import.subject);
    let distinct = rows.windows(2).all(|pair| pair[0].0.cmp(&pair[1].0) == Ordering::Less);
    if !of_subject || !distinct {
        return Err(StoreError::Rejected("events to import must be of their subject, each once".into()));
    }
    Ok(rows)
}
