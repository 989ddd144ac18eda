//! Reading a backup and checking it.

use std::io::{ErrorKind, Read};

use aws_lc_rs::digest::{Context, SHA256};
use yima_store::embedded::{SavedRow, SavedTable};

use super::{BackupError, Counts, END, End, FILE, FORMAT, HEAD, Head, MAGIC, MAX_BLOCK_BYTES, ROWS, checksum, sha256};

/// A block of a backup.
pub enum Block {
    /// The first block.
    Head(Head),
    /// A small file of the data directory: name and content.
    File(String, Vec<u8>),
    /// Rows of the store.
    Rows(Vec<SavedRow>),
    /// The last block: every checksum was right.
    End(Counts),
}

/// Reads a backup block by block and checks each.
pub struct Reader<R> {
    input: R,
    digest: Context,
    blocks: u64,
    position: u64,
    counts: Counts,
}

impl<R: Read> Reader<R> {
    /// Reads the magic text and the format.
    pub fn new(input: R) -> Result<Self, BackupError> {
        let mut reader =
            Self { input, digest: Context::new(&SHA256), blocks: 0, position: 0, counts: Counts::default() };
        let mut start = [0; MAGIC.len() + 4];
        reader.read(&mut start)?;
        let Some((MAGIC, format)) = start.split_first_chunk() else { return Err(BackupError::NotABackup) };
        reader.digest.update(&start);
        match u32::from_be_bytes(format.try_into().map_err(|_| BackupError::NotABackup)?) {
            FORMAT => Ok(reader),
            other => Err(BackupError::Format(other)),
        }
    }

    /// Reads the next block. [`Block::End`] is the last.
    pub fn next_block(&mut self) -> Result<Block, BackupError> {
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

    fn end(&mut self, content: &[u8]) -> Result<Block, BackupError> {
        let end: End = serde_json::from_slice(content).map_err(|_| self.damaged())?;
        let nothing_follows = self.input.read(&mut [0])? == 0;
        if end.sha256 == sha256(&self.digest) && end.counts == self.counts && nothing_follows {
            return Ok(Block::End(end.counts));
        }
        Err(self.damaged())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        if let Err(error) = self.input.read_exact(bytes) {
            let cut = if self.position == 0 { BackupError::NotABackup } else { BackupError::Cut(self.position) };
            return Err(if error.kind() == ErrorKind::UnexpectedEof { cut } else { error.into() });
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn damaged(&self) -> BackupError {
        BackupError::Damaged(self.position)
    }
}

fn file(content: &[u8]) -> Option<Block> {
    let end = content.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8(content[..end].to_vec()).ok()?;
    Some(Block::File(name, content[end + 1..].to_vec()))
}
