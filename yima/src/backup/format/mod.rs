//! The content of a backup, before encryption: a magic text and a format number, then blocks, of which the last one
//! says that it is complete.
//!
//! A block: kind (1), length (4), content. Numbers are big endian. There are no checksums: a file is encrypted and
//! authenticated as a whole (`encryption.rs`), and on its way through the socket a backup stays on this machine.

mod read;
mod write;

use std::io;

use serde::{Deserialize, Serialize};
use yima_schema::time::Time;
use yima_store::StoreError;
use yima_store::embedded::SavedTable;

pub(super) use read::unreadable;
pub use read::{Block, Reader};
pub use write::Writer;

pub(super) const MAGIC: &[u8; 8] = b"yimaback";
/// The format that this program writes, and the only one that it reads. Format 1 was not encrypted.
const FORMAT: u32 = 2;

/// Longest block, compressed or not: the most memory a reader allocates for one.
const MAX_BLOCK_BYTES: usize = 16 << 20;

const HEAD: u8 = 1;
const FILE: u8 = 2;
const ROWS: u8 = 3;
const END: u8 = 4;

/// Why a backup cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is no backup.
    #[error("this is not an encrypted backup of yima")]
    NotABackup,
    /// Another version of the program wrote it.
    #[error(
        "the backup has format {0} and this program reads format {FORMAT}: use the program that made it, or a newer one"
    )]
    Format(u32),
    /// An earlier version of the program wrote it.
    #[error(
        "the backup is not encrypted, so anyone could have changed it: use the program that made it, if you trust the \
         file"
    )]
    NotEncrypted,
    /// Neither the key nor the passphrase decrypts it.
    #[error("the backup was not made with this key or passphrase, or its beginning is damaged")]
    OtherSecret,
    /// It ends too early.
    #[error("the backup is cut short: it was not finished, or not copied completely; use another one")]
    Cut,
    /// It does not decrypt, or a block is invalid.
    #[error("the backup is cut short, damaged, or was changed after it was made: use another copy, or another backup")]
    Damaged,
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store's error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first block: the origin and time of a backup.
#[derive(Clone, Serialize, Deserialize)]
pub struct Head {
    /// Every event acknowledged before this moment is in the backup.
    pub as_of: Time,
    /// The region of the data.
    pub region: String,
    /// The version of the program that wrote it.
    pub program: String,
}

/// The size of a backup's content; the last block.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Number of views.
    pub people: u64,
    /// Number of events.
    pub events: u64,
}

impl Counts {
    fn add(&mut self, table: SavedTable) {
        match table {
            SavedTable::Events => self.events += 1,
            SavedTable::Views => self.people += 1,
            SavedTable::Meta
            | SavedTable::Marks
            | SavedTable::Audit
            | SavedTable::DeadLetters
            | SavedTable::Resources => {}
        }
    }
}
