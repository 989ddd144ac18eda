//! The bytes of a backup: a magic text and a format number, then blocks, each with a checksum; the last one has the digest of all before it.
//!
//! A block: kind (1), length (4), checksum (8, XXH3-64 of the block's place, its kind and its content), content. Numbers are big endian.

use std::io::{self, ErrorKind, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;
use yima_schema::time::Time;
use yima_store::StoreError;
use yima_store::embedded::{SavedRow, SavedTable};

use crate::error::Failure;

const MAGIC: &[u8; 8] = b"yimaback";
/// The format that this program writes; it reads no other.
const FORMAT: u32 = 1;

/// Bytes of rows in a block, before they are compressed.
const BLOCK_BYTES: usize = 1 << 20;
/// No block has more, compressed or not: what a reader takes memory for.
const MAX_BLOCK_BYTES: usize = 16 << 20;

const HEAD: u8 = 1;
const FILE: u8 = 2;
const ROWS: u8 = 3;
const END: u8 = 4;

/// What is wrong with a backup, or with reading or writing it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
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
    Failure(#[from] Box<Failure>),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl Fault {
    /// The end of a command, which did not do what it says.
    pub fn told(self, what: &str) -> Failure {
        if let Self::Failure(failure) = self { *failure } else { Failure::Usage(format!("{what}: {self}")) }
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

/// Writes a backup. Without [`Self::finish`] it is none.
pub struct Writer<W> {
    out: W,
    digest: Context,
    blocks: u64,
    rows: Vec<u8>,
    counts: Counts,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    pub fn new(mut out: W, head: &Head) -> Result<Self, Fault> {
        let begin = [&MAGIC[..], &FORMAT.to_be_bytes()].concat();
        out.write_all(&begin)?;
        let mut digest = Context::new(&SHA256);
        digest.update(&begin);
        let mut writer = Self { out, digest, blocks: 0, rows: Vec::new(), counts: Counts::default() };
        writer.block(HEAD, &serde_json::to_vec(head).map_err(io::Error::from)?)?;
        Ok(writer)
    }

    /// Adds a small file of the data directory, by its name there.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(), Fault> {
        self.block(FILE, &[name.as_bytes(), b"\0", content].concat())
    }

    /// Adds a row.
    pub fn row(&mut self, table: SavedTable, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let place = SavedTable::ALL.iter().position(|t| *t == table).and_then(|place| u8::try_from(place).ok());
        self.rows.push(place.ok_or_else(too_long)?);
        self.rows.extend_from_slice(&u16::try_from(key.len()).map_err(|_| too_long())?.to_be_bytes());
        self.rows.extend_from_slice(&u32::try_from(value.len()).map_err(|_| too_long())?.to_be_bytes());
        self.rows.extend_from_slice(key);
        self.rows.extend_from_slice(value);
        self.counts.add(table);
        if self.rows.len() >= BLOCK_BYTES { self.write_rows() } else { Ok(()) }
    }

    /// Ends it.
    pub fn finish(mut self) -> Result<Counts, Fault> {
        self.write_rows()?;
        let sha256 = sha256(&self.digest);
        let end = End { counts: self.counts, sha256 };
        self.block(END, &serde_json::to_vec(&end).map_err(io::Error::from)?)?;
        self.out.flush()?;
        Ok(self.counts)
    }

    fn write_rows(&mut self) -> Result<(), Fault> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.block(ROWS, &lz4_flex::compress_prepend_size(&rows)) }
    }

    fn block(&mut self, kind: u8, content: &[u8]) -> Result<(), Fault> {
        if content.len() > MAX_BLOCK_BYTES {
            return Err(too_long().into());
        }
        let mut head = vec![kind];
        head.extend_from_slice(&(content.len() as u32).to_be_bytes());
        head.extend_from_slice(&checksum(self.blocks, kind, content).to_be_bytes());
        self.blocks += 1;
        for part in [&head, content] {
            self.digest.update(part);
            self.out.write_all(part)?;
        }
        Ok(())
    }
}

/// What a backup consists of.
pub enum Block {
    /// Comes first.
    Head(Head),
    /// A small file of the data directory: its name there, and its content.
    File(String, Vec<u8>),
    /// Rows.
    Rows(Vec<SavedRow>),
    /// Comes last: all checksums were right.
    End(Counts),
}

/// Reads a backup and checks it.
pub struct Reader<R> {
    input: R,
    digest: Context,
    blocks: u64,
    position: u64,
    counts: Counts,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    pub fn new(input: R) -> Result<Self, Fault> {
        let mut reader =
            Self { input, digest: Context::new(&SHA256), blocks: 0, position: 0, counts: Counts::default() };
        let mut begin = [0; MAGIC.len() + 4];
        reader.read(&mut begin)?;
        let Some((MAGIC, format)) = begin.split_first_chunk() else { return Err(Fault::NotABackup) };
        reader.digest.update(&begin);
        match u32::from_be_bytes(format.try_into().map_err(|_| Fault::NotABackup)?) {
            FORMAT => Ok(reader),
            other => Err(Fault::Format(other)),
        }
    }

    /// The next block. After [`Block::End`] there is none.
    pub fn next_block(&mut self) -> Result<Block, Fault> {
        let mut head = [0; 13];
        self.read(&mut head)?;
        let [kind, length @ .., _, _, _, _, _, _, _, _] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_BLOCK_BYTES {
            return Err(self.damaged());
        }
        let mut content = vec![0; length];
        self.read(&mut content)?;
        if head[5..] != checksum(self.blocks, kind, &content).to_be_bytes() {
            return Err(self.damaged());
        }
        let is_first = self.blocks == 0;
        self.blocks += 1;
        let block = match kind {
            HEAD if is_first => serde_json::from_slice(&content).ok().map(Block::Head),
            FILE if !is_first => file(&content),
            ROWS if !is_first => self.rows(&content),
            END if !is_first => return self.end(&content),
            _ => None,
        };
        self.digest.update(&head);
        self.digest.update(&content);
        block.ok_or_else(|| self.damaged())
    }

    fn rows(&mut self, content: &[u8]) -> Option<Block> {
        let size = u32::from_le_bytes(*content.first_chunk()?) as usize;
        let plain =
            if size <= MAX_BLOCK_BYTES { lz4_flex::decompress_size_prepended(content).ok()? } else { return None };
        let (mut rest, mut rows) = (plain.as_slice(), Vec::new());
        while let Some(([table, key @ .., _, _, _, _], after)) = rest.split_first_chunk::<7>() {
            let table = *SavedTable::ALL.get(usize::from(*table))?;
            let value = u32::from_be_bytes(*rest.get(3..)?.first_chunk()?) as usize;
            let (key, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*key)))?;
            let (value, after) = after.split_at_checked(value)?;
            self.counts.add(table);
            rows.push((table, key.to_vec(), value.to_vec()));
            rest = after;
        }
        rest.is_empty().then_some(Block::Rows(rows))
    }

    fn end(&mut self, content: &[u8]) -> Result<Block, Fault> {
        let end: End = serde_json::from_slice(content).map_err(|_| self.damaged())?;
        let nothing_follows = self.input.read(&mut [0])? == 0;
        if end.sha256 == sha256(&self.digest) && end.counts == self.counts && nothing_follows {
            return Ok(Block::End(end.counts));
        }
        Err(self.damaged())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        if let Err(fault) = self.input.read_exact(bytes) {
            let cut = if self.position == 0 { Fault::NotABackup } else { Fault::Cut(self.position) };
            return Err(if fault.kind() == ErrorKind::UnexpectedEof { cut } else { fault.into() });
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn damaged(&self) -> Fault {
        Fault::Damaged(self.position)
    }
}

fn file(content: &[u8]) -> Option<Block> {
    let end = content.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8(content[..end].to_vec()).ok()?;
    Some(Block::File(name, content[end + 1..].to_vec()))
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

/// Keys and values are far below these lengths: the schema's limits say so.
fn too_long() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a row or a file is too long for a backup")
}
