//! The bytes of a backup: a magic text and a format number, then blocks, each with a checksum; the last block has the
//! digest of all bytes before it.
//!
//! A block: kind (1), length (4), checksum (8, XXH3-64 of the block's index, kind and content), content. Numbers are
//! big endian.

mod read;
mod write;

use std::io;

use aws_lc_rs::digest::Context;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;
use yima_schema::time::Time;
use yima_store::StoreError;
use yima_store::embedded::SavedTable;

pub use read::{Block, Reader};
pub use write::Writer;

const MAGIC: &[u8; 8] = b"yimaback";
/// The format that this program writes, and the only one that it reads.
const FORMAT: u32 = 1;

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
    #[error("this is not a backup of yima")]
    NotABackup,
    /// Another version of the program wrote it.
    #[error(
        "the backup has format {0} and this program reads format {FORMAT}: use the program that made it, or a newer one"
    )]
    Format(u32),
    /// The file ends too early.
    #[error("the backup is cut short at byte {0}: it was not finished, or not copied completely; use another one")]
    Cut(u64),
    /// A checksum is wrong, or a block is invalid.
    #[error("the backup is damaged before byte {0}: use another copy, or another backup")]
    Damaged(u64),
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

/// The size of a backup's content.
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
            SavedTable::Meta | SavedTable::Marks => {}
        }
    }
}

#[derive(Serialize, Deserialize)]
struct End {
    counts: Counts,
    sha256: [u8; 32],
}

fn checksum(index: u64, kind: u8, content: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&index.to_be_bytes());
    hash.update(&[kind]);
    hash.update(content);
    hash.digest()
}

fn sha256(digest: &Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.clone().finish().as_ref());
    bytes
}
