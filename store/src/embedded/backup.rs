//! Everything that a store has as rows of one moment, and a store made from such rows.
//!
//! Changes and streams are left out: whoever was behind in them is a process of before, and a store that was restored begins its feed anew.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::Path;

use fjall::{PersistMode, Readable};
use yima_schema::view::Version;

use super::identity::{self, EPOCH, STORE_ID};
use super::tables::{Table, Tables};
use super::{EmbeddedStore, keys};
use crate::{StoreError, failpoint};

/// A restore reads nothing again.
const CACHE_BYTES: u64 = 8 << 20;

/// A table whose rows are kept in a backup, in the order in which they come there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SavedTable {
    /// Named values: whose data it is, and what is numbered.
    Meta,
    /// Events.
    Events,
    /// Views.
    ViewCache,
    /// Marks of folds that are not published.
    Marks,
}

/// A row: table, key, value.
pub type SavedRow = (SavedTable, Vec<u8>, Vec<u8>);

impl SavedTable {
    /// All of them, in order; the place is the number by which it is stored.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Events, Self::ViewCache, Self::Marks];

    fn of(self, tables: &Tables) -> &Table {
        match self {
            Self::Meta => &tables.meta,
            Self::Events => &tables.events,
            Self::ViewCache => &tables.views,
            Self::Marks => &tables.marks,
        }
    }
}

impl EmbeddedStore {
    /// Hands out every row that is kept, as of one moment: what was acknowledged before this is called is in it, and what comes meanwhile is
    /// not. Rows come by table, and ascending by key. Writers go on. Blocks its thread for as long as it takes.
    ///
    /// # Errors
    /// The disk's, or what `each` returns.
    pub fn backup<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(SavedTable, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let tables = &self.shared.tables;
        let moment = tables.db.snapshot();
        for saved in SavedTable::ALL {
            let table = saved.of(tables);
            for row in moment.iter(table.keyspace()) {
                let (key, value) = row.into_inner().map_err(|e| table.fault(&e))?;
                failpoint::pass("row_backed_up")?;
                each(saved, &key, &value)?;
            }
        }
        Ok(())
    }

    /// Makes a store at `path`, where there is none, from the rows of a backup. Its epoch is the next one and its id a new one, and every
    /// view's version is in that epoch: above all that the backed up store has told anybody. Returns the epoch. Blocks its thread.
    ///
    /// When it fails, what is at `path` is not to be used.
    ///
    /// # Errors
    /// `Rejected` for a format that this program does not know, `Corrupt` for rows that no backup has, the disk's, or those of `rows`.
    pub fn restore<E: From<StoreError>>(
        path: &Path,
        rows: impl Iterator<Item = Result<SavedRow, E>>,
    ) -> Result<u16, E> {
        let mut rows = rows.peekable();
        let mut meta = BTreeMap::new();
        while let Some((_, key, value)) = next_of(&mut rows, SavedTable::Meta)? {
            meta.insert(key, value);
        }
        let epoch = identity::next_epoch(&meta)?;
        let tables = Tables::open(path, CACHE_BYTES)?;
        for saved in [SavedTable::Events, SavedTable::ViewCache, SavedTable::Marks] {
            fill(&tables, saved, epoch, &mut rows)?;
        }
        if let Some(left) = rows.next() {
            left?;
            return Err(tables.meta.corrupt("rows out of order").into());
        }
        meta.insert(EPOCH.into(), epoch.to_be_bytes().into());
        meta.insert(STORE_ID.into(), rand::random::<[u8; 16]>().into());
        // Last, since a store without an identity and with people in it is refused.
        let mut batch = tables.db.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in meta {
            batch.insert(tables.meta.keyspace(), key, value);
        }
        batch.commit().map_err(|e| tables.meta.fault(&e))?;
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

/// Writes a table's rows as sorted tables.
fn fill<E: From<StoreError>>(
    tables: &Tables,
    saved: SavedTable,
    epoch: u16,
    rows: &mut Peekable<impl Iterator<Item = Result<SavedRow, E>>>,
) -> Result<(), E> {
    let table = saved.of(tables);
    let Some(mut row) = next_of(rows, saved)? else { return Ok(()) };
    let mut ingestion = table.keyspace().start_ingestion().map_err(|e| table.fault(&e))?;
    loop {
        failpoint::pass("row_restored")?;
        let (_, key, value) = row;
        let value = if saved == SavedTable::ViewCache { raised(table, &value, epoch)? } else { value };
        ingestion.write(key.as_slice(), value).map_err(|e| table.fault(&e))?;
        row = match next_of(rows, saved)? {
            Some(next) if next.1 <= key => return Err(table.corrupt("rows out of order").into()),
            Some(next) => next,
            None => break,
        };
    }
    Ok(ingestion.finish().map_err(|e| table.fault(&e))?)
}

/// A view's row with its next version in that epoch.
fn raised(table: &Table, row: &[u8], epoch: u16) -> Result<Vec<u8>, StoreError> {
    let (version, view) = row.split_first_chunk().ok_or_else(|| table.corrupt("a version"))?;
    Ok(keys::encode_view(Version(u64::from_be_bytes(*version)).next(epoch), view))
}
