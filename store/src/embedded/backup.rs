//! Backup: a store's rows as of one moment. Restore: a store made from such rows.
//!
//! Changes and streams are left out: no follower outlives the process, and a restored store begins its feed anew.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::Path;

use fjall::{PersistMode, Readable};
use yima_schema::audit::AuditRecord;
use yima_schema::view::Version;

use super::identity::{self, EPOCH, STORE_ID};
use super::tables::{Table, Tables};
use super::{EmbeddedStore, audit, keys};
use crate::{StoreError, failpoint};

/// Small, since a restore reads no row twice.
const CACHE_BYTES: u64 = 8 << 20;

/// The tables of a backup, in the order in which it has their rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SavedTable {
    /// Named values: the store's identity and next numbers.
    Meta,
    /// Events.
    Events,
    /// Views.
    Views,
    /// Marks: folds that are not published.
    Marks,
    /// The audit log.
    Audit,
    /// Dead letters, sealed.
    DeadLetters,
    /// The index of FHIR resources.
    Resources,
}

/// A row: table, key, value.
pub type SavedRow = (SavedTable, Vec<u8>, Vec<u8>);

impl SavedTable {
    /// All tables, in order; a table's index is the number by which a backup names it.
    pub const ALL: [Self; 7] =
        [Self::Meta, Self::Events, Self::Views, Self::Marks, Self::Audit, Self::DeadLetters, Self::Resources];

    fn table(self, tables: &Tables) -> &Table {
        match self {
            Self::Meta => &tables.meta,
            Self::Events => &tables.events,
            Self::Views => &tables.views,
            Self::Marks => &tables.marks,
            Self::Audit => &tables.audit,
            Self::DeadLetters => &tables.dead_letters,
            Self::Resources => &tables.resources,
        }
    }
}

impl EmbeddedStore {
    /// Passes every row of a backup to `each`, as of one moment: every write acknowledged before this call is included,
    /// later ones are not. Rows come by table, and ascending by key. Writers go on. Blocks its thread for as long as it
    /// takes.
    ///
    /// # Errors
    /// The disk's, or those of `each`.
    pub fn backup<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(SavedTable, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let tables = &self.shared.tables;
        let snapshot = tables.db.snapshot();
        for saved in SavedTable::ALL {
            let table = saved.table(tables);
            for row in snapshot.iter(table.keyspace()) {
                let (key, value) = row.into_inner().map_err(|e| table.error(&e))?;
                failpoint::pass("row_backed_up")?;
                each(saved, &key, &value)?;
            }
        }
        Ok(())
    }

    /// Makes a store at `path`, where there is none, from the rows of a backup. It gets the next epoch and a new id,
    /// and every view's version is in that epoch: above all versions that the backed-up store ever published. `record`
    /// is added to its audit log. Returns the epoch. Blocks its thread.
    ///
    /// When it fails, the directory at `path` must not be used.
    ///
    /// # Errors
    /// `Rejected` for a format that this program does not know, `Corrupt` for rows that no backup has, the disk's, or
    /// those of `rows`.
    pub fn restore<E: From<StoreError>>(
        path: &Path,
        rows: impl Iterator<Item = Result<SavedRow, E>>,
        record: &AuditRecord,
    ) -> Result<u16, E> {
        let mut rows = rows.peekable();
        let mut meta = BTreeMap::new();
        while let Some((_, key, value)) = next_of(&mut rows, SavedTable::Meta)? {
            meta.insert(key, value);
        }
        let epoch = identity::next_epoch(&meta)?;
        let tables = Tables::open(path, CACHE_BYTES)?;
        for saved in SavedTable::ALL.into_iter().filter(|saved| *saved != SavedTable::Meta) {
            fill(&tables, saved, epoch, &mut rows)?;
        }
        if let Some(surplus) = rows.next() {
            surplus?;
            return Err(tables.meta.corrupt("rows out of order").into());
        }
        meta.insert(EPOCH.into(), epoch.to_be_bytes().into());
        meta.insert(STORE_ID.into(), rand::random::<[u8; 16]>().into());
        // Last: a store with rows and without an identity is refused.
        let mut batch = tables.db.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in meta {
            batch.insert(tables.meta.keyspace(), key, value);
        }
        let (key, text) = audit::row(record);
        batch.insert(tables.audit.keyspace(), key, text.as_str());
        batch.commit().map_err(|e| tables.meta.error(&e))?;
        Ok(epoch)
    }
}

/// The next row if it is of that table.
fn next_of<E>(
    rows: &mut Peekable<impl Iterator<Item = Result<SavedRow, E>>>,
    saved: SavedTable,
) -> Result<Option<SavedRow>, E> {
    rows.next_if(|row| row.as_ref().map_or(true, |(table, ..)| *table == saved)).transpose()
}

/// Writes a table's rows by bulk ingestion: they come sorted.
fn fill<E: From<StoreError>>(
    tables: &Tables,
    saved: SavedTable,
    epoch: u16,
    rows: &mut Peekable<impl Iterator<Item = Result<SavedRow, E>>>,
) -> Result<(), E> {
    let table = saved.table(tables);
    let Some(mut row) = next_of(rows, saved)? else { return Ok(()) };
    let mut ingestion = table.keyspace().start_ingestion().map_err(|e| table.error(&e))?;
    loop {
        failpoint::pass("row_restored")?;
        let (_, key, value) = row;
        let value = if saved == SavedTable::Views { with_raised_version(table, &value, epoch)? } else { value };
        ingestion.write(key.as_slice(), value).map_err(|e| table.error(&e))?;
        row = match next_of(rows, saved)? {
            Some(next) if next.1 <= key => return Err(table.corrupt("rows out of order").into()),
            Some(next) => next,
            None => break,
        };
    }
    Ok(ingestion.finish().map_err(|e| table.error(&e))?)
}

/// A view's row, with its next version in that epoch.
fn with_raised_version(table: &Table, row: &[u8], epoch: u16) -> Result<Vec<u8>, StoreError> {
    let (version, view) = row.split_first_chunk().ok_or_else(|| table.corrupt("a version"))?;
    Ok(keys::encode_view(Version(u64::from_be_bytes(*version)).next(epoch), view))
}
