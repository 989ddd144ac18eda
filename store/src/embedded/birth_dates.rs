//! Removes dates of birth that earlier programs kept in identity events.

use fjall::Slice;
use yima_schema::event::StoredEvent;

use super::group_commit::Group;
use super::identity::BIRTH_DATES;
use super::tables::Tables;
use super::{EmbeddedStore, keys};
use crate::Result;

/// Rows read in one step.
const PIECE_ROWS: usize = 10_000;
/// Bytes that replacing one row writes, about.
const ROW_BYTES: usize = 500;
const FORGOTTEN: &[u8] = b"forgotten";

impl EmbeddedStore {
    /// Writes every event again that has a date of birth, without it, and returns their number. Reads all events once,
    /// at its first run in a directory; other writes go on. An interrupted run begins anew. Blocks are compacted at the
    /// end, so that the table's files do not have the earlier rows either.
    ///
    /// # Errors
    /// As for any write. Rows written before an error stay written.
    pub async fn forget_birth_dates(&self) -> Result<usize> {
        if self.shared.tables.meta.get(BIRTH_DATES)?.is_some() {
            return Ok(0);
        }
        let (mut after, mut replaced) = (Slice::from(&[][..]), 0);
        while let Some((last, keys)) = self.blocking(move |tables| read_piece(tables, &after)).await? {
            after = last;
            if !keys.is_empty() {
                let bytes = keys.len() * ROW_BYTES;
                replaced += self.queue()?.submit(bytes, move |group| group.forget_birth_dates(&keys)).await?;
            }
        }
        if replaced > 0 {
            self.blocking(|tables| tables.events.compact()).await?;
        }
        let done = |group: &mut Group<'_>| {
            group.rows.insert(group.tables.meta.keyspace(), BIRTH_DATES, FORGOTTEN);
            Ok(())
        };
        self.queue()?.submit(ROW_BYTES, done).await.map(|()| replaced)
    }
}

/// The last key of the next rows, and those of them that have to be replaced; `None` at the end.
fn read_piece(tables: &Tables, after: &Slice) -> Result<Option<(Slice, Vec<Slice>)>> {
    let from = (std::ops::Bound::Excluded(after.clone()), std::ops::Bound::Unbounded);
    let (mut last, mut found) = (None, Vec::new());
    for row in tables.events.range::<Slice>(from).take(PIECE_ROWS) {
        let (key, row) = row?;
        // A row that cannot be read stays as it is: folds report it.
        if StoredEvent::decode(&row).is_ok_and(|stored| stored.kept_birth_date()) {
            found.push(key.clone());
        }
        last = Some(key);
    }
    Ok(last.map(|last| (last, found)))
}

impl Group<'_> {
    /// Replaces the rows of these keys.
    fn forget_birth_dates(&mut self, keys: &[Slice]) -> Result<usize> {
        let table = &self.tables.events;
        for key in keys {
            let Some(row) = table.get(key)? else { continue };
            let stored = StoredEvent::decode(&row).map_err(|e| table.corrupt(e))?;
            let replaced = stored.without_birth_date();
            self.rows.remove(table.keyspace(), key.clone());
            self.rows.insert(table.keyspace(), keys::event(&replaced)?, replaced.encode());
        }
        Ok(keys.len())
    }
}
