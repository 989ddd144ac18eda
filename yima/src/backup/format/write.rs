//! Writing a backup.

use std::io::{self, ErrorKind, Write};

use yima_store::embedded::SavedTable;

use super::{BackupError, Counts, END, FILE, FORMAT, HEAD, Head, MAGIC, MAX_BLOCK_BYTES, ROWS};

/// Size of a block of rows before compression.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes a backup block by block. Only [`Self::finish`] makes it complete.
pub struct Writer<W> {
    out: W,
    rows: Vec<u8>,
    counts: Counts,
}

impl<W: Write> Writer<W> {
    /// Writes the magic text, the format and the head.
    pub fn new(mut out: W, head: &Head) -> Result<Self, BackupError> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_be_bytes())?;
        let mut writer = Self { out, rows: Vec::new(), counts: Counts::default() };
        writer.block(HEAD, &serde_json::to_vec(head).map_err(io::Error::from)?)?;
        Ok(writer)
    }

    /// Adds a small file of the data directory.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        self.block(FILE, &[name.as_bytes(), b"\0", content].concat())
    }

    /// Adds a row.
    pub fn row(&mut self, table: SavedTable, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        let number = SavedTable::ALL.iter().position(|t| *t == table).and_then(|number| u8::try_from(number).ok());
        self.rows.push(number.ok_or_else(too_long)?);
        self.rows.extend_from_slice(&u16::try_from(key.len()).map_err(|_| too_long())?.to_be_bytes());
        self.rows.extend_from_slice(&u32::try_from(value.len()).map_err(|_| too_long())?.to_be_bytes());
        self.rows.extend_from_slice(key);
        self.rows.extend_from_slice(value);
        self.counts.add(table);
        if self.rows.len() >= BLOCK_BYTES { self.write_rows() } else { Ok(()) }
    }

    /// Writes the last block.
    pub fn finish(mut self) -> Result<Counts, BackupError> {
        self.write_rows()?;
        self.block(END, &serde_json::to_vec(&self.counts).map_err(io::Error::from)?)?;
        self.out.flush()?;
        Ok(self.counts)
    }

    fn write_rows(&mut self) -> Result<(), BackupError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.block(ROWS, &lz4_flex::compress_prepend_size(&rows)) }
    }

    fn block(&mut self, kind: u8, content: &[u8]) -> Result<(), BackupError> {
        if content.len() > MAX_BLOCK_BYTES {
            return Err(too_long().into());
        }
        self.out.write_all(&[kind])?;
        self.out.write_all(&(content.len() as u32).to_be_bytes())?;
        Ok(self.out.write_all(content)?)
    }
}

/// Never for rows of a store: the schema's limits keep keys and values far below these lengths.
fn too_long() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a row or a file is too long for a backup")
}
