//! The tables: one fjall keyspace each, with its tuning.

use std::fs::File;
use std::ops::RangeBounds;
use std::path::Path;

use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Slice};

use super::error::from_fjall;
use crate::{Result, StoreError};

const MIB: u64 = 1024 * 1024;
/// Beyond this fjall flushes the tables that still need the journals: bounds the replay at a start.
const JOURNAL_BYTES: u64 = 256 * MIB;
/// Rows removed by one batch.
const ROWS_OF_A_REMOVAL: usize = 10_000;

/// A keyspace with its name, for its errors.
#[derive(Clone)]
pub(super) struct Table {
    name: &'static str,
    keyspace: Keyspace,
}

/// All tables of one data directory. As long as one clone lives, the directory is locked.
#[derive(Clone)]
pub(super) struct Tables {
    /// Their database.
    pub(super) db: Database,
    /// Subject and event key → event.
    pub(super) events: Table,
    /// Subject → version and view.
    pub(super) views: Table,
    /// Stream and number → change.
    pub(super) changes: Table,
    /// Stream → its state.
    pub(super) streams: Table,
    /// Mark → subject.
    pub(super) marks: Table,
    /// Moment and a random number → a record of the audit log.
    pub(super) audit: Table,
    /// Day and digest → sealed dead letter.
    pub(super) dead_letters: Table,
    /// Slot, bucket and denial tag → nothing.
    pub(super) denials: Table,
    /// The offline bundle: see `bundle.rs`.
    pub(super) bundle: Table,
    /// Agency, resource, version and subject → masked document number.
    pub(super) resources: Table,
    /// Named values: see `identity.rs` and `import.rs`.
    pub(super) meta: Table,
}

impl Tables {
    /// Opens the directory and its tables, and creates missing ones.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        let db = Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(|e| from_fjall("database", &e))?;
        let tables = Self {
            // Point reads only: filters keep most of them to one block. All other tables are read by range, where
            // filters do not help.
            views: Table::open(&db, "views", || tuned(32).filter_policy(FilterPolicy::all(bloom())))?,
            events: Table::open(&db, "events", || tuned(32))?,
            changes: Table::open(&db, "changes", || tuned(32))?,
            marks: Table::open(&db, "marks", || tuned(8))?,
            streams: Table::open(&db, "streams", || tuned(1))?,
            audit: Table::open(&db, "audit", || tuned(1))?,
            dead_letters: Table::open(&db, "dead_letters", || tuned(1))?,
            denials: Table::open(&db, "denials", || tuned(8))?,
            bundle: Table::open(&db, "bundle", || tuned(8))?,
            resources: Table::open(&db, "resources", || tuned(8))?,
            meta: Table::open(&db, "meta", || tuned(1))?,
            db,
        };
        sync_directories(path).map_err(|e| StoreError::Unavailable(format!("data directory: {}", e.kind())))?;
        Ok(tables)
    }

    /// Removes all rows of `events` and `views`, as any row is removed, and gives their space back.
    ///
    /// Not by `Keyspace::clear`: the next start would replay it from the journal and drop rows that were ingested after
    /// it. Not by `Database::delete_keyspace`: after a restart fjall gives the keyspace's number and sequence numbers
    /// below its removal to the next one, which the start after that takes for removed.
    pub(super) fn remove_subjects(&self) -> Result<()> {
        for table in [&self.events, &self.views] {
            let mut rows = table.range::<&[u8]>(..).peekable();
            while rows.peek().is_some() {
                let mut removed = self.db.batch();
                for row in rows.by_ref().take(ROWS_OF_A_REMOVAL) {
                    removed.remove(table.keyspace(), row?.0);
                }
                removed.commit().map_err(|e| table.error(&e))?;
            }
            drop(rows);
            table.compact()?;
        }
        Ok(())
    }
}

impl Table {
    fn open(db: &Database, name: &'static str, options: impl FnOnce() -> KeyspaceCreateOptions) -> Result<Self> {
        Ok(Self { name, keyspace: db.keyspace(name, options).map_err(|e| from_fjall(name, &e))? })
    }

    /// The keyspace, for writing.
    pub(super) fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The value of a key.
    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.keyspace.get(key).map_err(|e| self.error(&e))
    }

    /// Rows by ascending key.
    pub(super) fn range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
    ) -> impl Iterator<Item = Result<(Slice, Slice)>> {
        self.keyspace.range(range).map(|row| row.into_inner().map_err(|e| self.error(&e)))
    }

    /// Rows whose key begins with `prefix`, by ascending key.
    pub(super) fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Slice, Slice)>> {
        self.keyspace.prefix(prefix).map(|row| row.into_inner().map_err(|e| self.error(&e)))
    }

    /// The row with the highest key that begins with `prefix`.
    pub(super) fn last(&self, prefix: &[u8]) -> Result<Option<(Slice, Slice)>> {
        self.keyspace.prefix(prefix).next_back().map(|row| row.into_inner().map_err(|e| self.error(&e))).transpose()
    }

    /// Merges the table's files, so that replaced and removed rows are gone.
    pub(super) fn compact(&self) -> Result<()> {
        let merged = self.keyspace.rotate_memtable_and_wait().and_then(|()| self.keyspace.major_compact());
        merged.map_err(|e| self.error(&e))
    }

    /// Whether the table has no rows.
    pub(super) fn is_empty(&self) -> Result<bool> {
        self.keyspace.is_empty().map_err(|e| self.error(&e))
    }

    /// The error for a row that cannot be read.
    pub(super) fn corrupt(&self, what: impl ToString) -> StoreError {
        StoreError::Corrupt { table: self.name, what: what.to_string() }
    }

    /// Maps an error of this table.
    pub(super) fn error(&self, error: &fjall::Error) -> StoreError {
        from_fjall(self.name, error)
    }
}

fn tuned(memtable_mib: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_mib * MIB)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .filter_policy(FilterPolicy::disabled())
}

/// Ten bits a key: about 1 % of lookups of subjects without a view read a block in vain.
fn bloom() -> FilterPolicyEntry {
    FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0))
}

/// fjall syncs the directories that it creates, but not the entry of a new keyspace in `keyspaces/`, nor that of a new
/// database in its parent; without them a power cut could lose the journal's rows.
fn sync_directories(path: &Path) -> std::io::Result<()> {
    let parent = path.canonicalize()?.parent().map(Path::to_path_buf);
    for directory in [Some(path.join("keyspaces")), Some(path.to_path_buf()), parent].into_iter().flatten() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
