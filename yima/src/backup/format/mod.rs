//! The bytes of a backup: a magic text and a format number, then blocks, each with a checksum; the last one has the digest of all before it.
//!
//! A block: kind (1), length (4), checksum (8, XXH3-64 of the block's place, its kind and its content), content. Numbers are big endian.

mod read;
mod write;

use std::io;

use aws_lc_rs::digest::Context;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;
use yima_schema::time::Time;
use yima_store::StoreError;
use yima_store::embedded::SavedTable;

use crate::error::CommandError;

pub use read::{Block, Reader};
pub use write::Writer;

const MAGIC: &[u8; 8] = b"yimaback";
/// The format that this program writes; it reads no other.
const FORMAT: u32 = 1;

/// No block has more, compressed or not: what a reader takes memory for.
const MAX_BLOCK_BYTES: usize = 16 << 20;

const HEAD: u8 = 1;
const FILE: u8 = 2;
const ROWS: u8 = 3;
const END: u8 = 4;

/// What is wrong with a backup, or with reading or writing it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another file.
    #[error("this is not a backup of yima")]
    NotABackup,
    /// From another program.
    #[error(
        "the backup has format {0} and this program reads format {FORMAT}: use the program that made it, or a newer one"
    )]
    Format(u32),
    /// It ends too early.
    #[error("the backup is cut short at byte {0}: it was not finished, or not copied whole; use another one")]
    Cut(u64),
    /// A checksum does not fit, or there is something that no backup has.
    #[error("the backup is damaged before byte {0}: use another copy, or another backup")]
    Damaged(u64),
    /// The system's word.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What keeps it from beginning.
    #[error(transparent)]
    CommandError(#[from] Box<CommandError>),
}

impl From<CommandError> for BackupError {
    fn from(failure: CommandError) -> Self {
        Self::CommandError(Box::new(failure))
    }
}

impl BackupError {
    /// The end of a command, which did not do what it says.
    pub fn told(self, what: &str) -> CommandError {
        if let Self::CommandError(failure) = self { *failure } else { CommandError::Usage(format!("{what}: {self}")) }
    }
}

/// Of what and of when a backup is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Head {
    /// It has everything that was acknowledged before this moment.
    pub as_of: Time,
    /// The region whose data it is.
    pub region: String,
    /// The version of the program that made it.
    pub program: String,
}

/// How much is in it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Views.
    pub people: u64,
    /// Events.
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

fn checksum(place: u64, kind: u8, content: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&place.to_be_bytes());
    hash.update(&[kind]);
    hash.update(content);
    hash.digest()
}

fn sha256(digest: &Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.clone().finish().as_ref());
    bytes
}
