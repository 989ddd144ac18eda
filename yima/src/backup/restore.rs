//! `yima restore`: a data directory from a backup.
//!
//! All is written to `restore.part` in the data directory, and moved to its place when the last checksum was right and all is on disk. As long
//! as `restore.part` is there, nothing else uses the directory; it is removed last.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use yima_store::embedded::{EmbeddedStore, SavedRow};
use yima_store::failpoint;

use super::format::{BackupError, Block, Counts, Head, Reader};
use super::{DEMO, STANDARD, as_owner, embedded_only, is_ours, sync_parent, tell};
use crate::Options;
use crate::error::CommandError;

const PART: &str = "restore.part";
const KEYS: &str = "keys";
const STORE: &str = "store";

/// Whether a restore into the data directory was begun and not finished.
pub fn unfinished(data_dir: &Path) -> bool {
    data_dir.join(PART).exists()
}

/// Makes the data directory, which must be new or empty, from a backup at `path` or on standard input.
///
/// # Errors
/// Nothing was restored, and the data directory is as it was.
pub fn restore(options: &Options, path: &Path) -> Result<(), CommandError> {
    embedded_only(options)?;
    as_owner(&options.data_dir)?;
    let restored = if path.as_os_str() == STANDARD {
        into(&options.data_dir, io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|e| CommandError::file(path, &e))?;
        into(&options.data_dir, file)
    };
    let (head, Counts { people, events }, epoch) =
        restored.map_err(|fault| fault.told(&format!("{}: nothing was restored", path.display())))?;
    tell(&format!(
        "restored {people} people and {events} events of region {}, as of {}; epoch {epoch}\n\
         WHAT WAS ACKNOWLEDGED AFTER {} IS NOT IN IT: let every agency send again what it sent since then. What is there already is \
         answered `duplicate`.",
        head.region, head.as_of, head.as_of
    ));
    Ok(())
}

fn into(data_dir: &Path, input: impl Read) -> Result<(Head, Counts, u16), BackupError> {
    let is_new = !data_dir.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let done = fill(data_dir, input);
    if done.is_err() && is_new {
        // Not if there is anything in it after all.
        let _ = fs::remove_dir(data_dir);
    }
    done
}

fn fill(data_dir: &Path, input: impl Read) -> Result<(Head, Counts, u16), BackupError> {
    // Two at once would take each other for unfinished.
    let directory = File::open(data_dir)?;
    directory.try_lock().map_err(|_| CommandError::Usage("another restore into this directory is under way".into()))?;
    if unfinished(data_dir) {
        remove(data_dir)?;
    }
    let names: Vec<_> = fs::read_dir(data_dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    // A file system's own, where the data directory is its root.
    if let Some(found) = names.iter().find(|name| *name != "lost+found") {
        return Err(CommandError::Usage(format!(
            "the data directory is not empty ({} is there): choose another --data-dir, or move away what is in this one",
            found.display()
        ))
        .into());
    }
    let part = data_dir.join(PART);
    DirBuilder::new().mode(0o700).create(&part)?;
    directory.sync_all()?;
    let restored = write(&part, input).and_then(|restored| {
        for name in [DEMO, STORE, KEYS] {
            failpoint::pass("part_restored")?;
            if part.join(name).exists() {
                fs::rename(part.join(name), data_dir.join(name))?;
            }
        }
        directory.sync_all()?;
        failpoint::pass("part_restored")?;
        fs::remove_dir(&part)?;
        directory.sync_all()?;
        sync_parent(&data_dir.canonicalize()?)?;
        Ok(restored)
    });
    if restored.is_err() {
        remove(data_dir)?;
    }
    restored
}

/// Removes what an unfinished restore has left; the directory was empty when it began. The mark goes last.
fn remove(data_dir: &Path) -> io::Result<()> {
    for name in [KEYS, STORE, PART] {
        match fs::remove_dir_all(data_dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _gone => {}
        }
        if name == STORE {
            let _ = fs::remove_file(data_dir.join(DEMO));
        }
    }
    Ok(())
}

/// Writes all that the backup has below `part`, and reads it to its end.
fn write(part: &Path, input: impl Read) -> Result<(Head, Counts, u16), BackupError> {
    let keys = part.join(KEYS);
    DirBuilder::new().mode(0o700).create(&keys)?;
    let mut blocks =
        Blocks { reader: Reader::new(BufReader::with_capacity(1 << 20, input))?, part, head: None, end: None };
    let mut rows = Vec::new().into_iter();
    let rows = std::iter::from_fn(|| {
        loop {
            if let Some(row) = rows.next() {
                return Some(Ok(row));
            }
            rows = match blocks.next_rows() {
                Ok(Some(next)) => next.into_iter(),
                Ok(None) => return None,
                Err(fault) => return Some(Err(fault)),
            };
        }
    });
    let epoch = EmbeddedStore::restore(&part.join(STORE), rows)?;
    for directory in [&keys, part] {
        File::open(directory)?.sync_all()?;
    }
    match (blocks.head, blocks.end) {
        (Some(head), Some(counts)) => Ok((head, counts, epoch)),
        (None, _) | (_, None) => Err(BackupError::NotABackup),
    }
}

struct Blocks<'a, R> {
    reader: Reader<R>,
    part: &'a Path,
    head: Option<Head>,
    end: Option<Counts>,
}

impl<R: Read> Blocks<'_, R> {
    /// Goes on to the next rows, and writes the files on the way; `None` at the end.
    fn next_rows(&mut self) -> Result<Option<Vec<SavedRow>>, BackupError> {
        while self.end.is_none() {
            match self.reader.next_block()? {
                Block::Head(head) => self.head = Some(head),
                Block::File(name, content) => self.write_file(&name, &content)?,
                Block::Rows(rows) => return Ok(Some(rows)),
                Block::End(counts) => self.end = Some(counts),
            }
        }
        Ok(None)
    }

    fn write_file(&self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        if !is_ours(name) {
            return Err(BackupError::NotABackup);
        }
        let path: PathBuf = self.part.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        Ok(file.sync_all()?)
    }
}
