//! Reading a backup and checking it.

use std::io::{ErrorKind, Read};

use yima_store::embedded::{SavedRow, SavedTable};

use super::{BackupError, Counts, END, FILE, FORMAT, HEAD, Head, MAGIC, MAX_BLOCK_BYTES, ROWS};

/// A block of a backup.
pub enum Block {
    /// The first block.
    Head(Head),
    /// A small file of the data directory: name and content.
    File(String, Vec<u8>),
    /// Rows of the store.
    Rows(Vec<SavedRow>),
    /// The last block: the backup is complete.
    End(Counts),
}

/// Reads a backup block by block and checks each.
pub struct Reader<R> {
    input: R,
    is_first: bool,
    counts: Counts,
}

impl<R: Read> Reader<R> {
    /// Reads the magic text and the format.
    pub fn new(input: R) -> Result<Self, BackupError> {
        let mut reader = Self { input, is_first: true, counts: Counts::default() };
        let (mut magic, mut format) = ([0; MAGIC.len()], [0; 4]);
        reader.read(&mut magic)?;
        if magic != *MAGIC {
            return Err(BackupError::NotABackup);
        }
        reader.read(&mut format)?;
        match u32::from_be_bytes(format) {
            FORMAT => Ok(reader),
            other => Err(BackupError::Format(other)),
        }
    }

    /// Reads the next block. [`Block::End`] is the last.
    pub fn next_block(&mut self) -> Result<Block, BackupError> {
        let (mut kind, mut length) = ([0], [0; 4]);
        self.read(&mut kind)?;
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_BLOCK_BYTES {
            return Err(BackupError::Damaged);
        }
        let mut content = vec![0; length];
        self.read(&mut content)?;
        let is_first = std::mem::replace(&mut self.is_first, false);
        let block = match kind[0] {
            HEAD if is_first => serde_json::from_slice(&content).ok().map(Block::Head),
            FILE if !is_first => file(&content),
            ROWS if !is_first => self.rows(&content),
            END if !is_first => self.end(&content)?,
            _ => None,
        };
        block.ok_or(BackupError::Damaged)
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

    /// The last block is right, and nothing follows it. Reading the end also proves that of an encrypted file.
    fn end(&mut self, content: &[u8]) -> Result<Option<Block>, BackupError> {
        let nothing_follows = self.input.read(&mut [0]).map_err(unreadable)? == 0;
        let counts = serde_json::from_slice(content).ok();
        Ok(counts.filter(|counts| *counts == self.counts && nothing_follows).map(Block::End))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.input.read_exact(bytes).map_err(unreadable)
    }
}

/// Decryption reports bytes that are not authentic as `InvalidData`.
pub(in super::super) fn unreadable(error: std::io::Error) -> BackupError {
    if error.kind() == ErrorKind::UnexpectedEof {
        return BackupError::Cut;
    }
    if error.kind() == ErrorKind::InvalidData { BackupError::Damaged } else { error.into() }
}

fn file(content: &[u8]) -> Option<Block> {
    let end = content.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8(content[..end].to_vec()).ok()?;
    Some(Block::File(name, content[end + 1..].to_vec()))
}
