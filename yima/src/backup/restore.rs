//! `yima restore`: creates a data directory from a backup.
//!
//! Everything is written to `restore.part` in the data directory and moved to its place once the backup is authentic to
//! its end and all is on disk. While `restore.part` exists, nothing else uses the directory; it is removed last.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use yima_schema::audit::OperatorAction;
use yima_store::embedded::{EmbeddedStore, SavedRow};
use yima_store::failpoint;

use super::encryption::Secret;
use super::format::{BackupError, Block, Counts, Head, Reader};
use super::{DEMO, STANDARD, check_owner, embedded_only, may_contain, print_result, sync_parent};
use crate::audit::record;
use crate::cli::{BackupSecret, Options};
use crate::error::CommandError;

const PART: &str = "restore.part";
const KEYS: &str = "keys";
const STORE: &str = "store";

/// Whether a restore into the data directory has started but not finished.
pub fn unfinished(data_dir: &Path) -> bool {
    data_dir.join(PART).exists()
}

/// Creates the data directory, which must be new or empty, from a backup at `path` or on standard input that was
/// encrypted with the secret.
///
/// # Errors
/// Nothing was restored, and the data directory is unchanged.
pub fn restore(options: &Options, path: &Path, secret: &BackupSecret) -> Result<(), CommandError> {
    embedded_only(options)?;
    let secret = Secret::read(secret)?;
    check_owner(&options.data_dir)?;
    let failed = |error| CommandError::Backup { outcome: format!("{}: nothing was restored", path.display()), error };
    let (head, Counts { people, events }, epoch) = if path.as_os_str() == STANDARD {
        into(&options.data_dir, io::stdin().lock(), &secret, failed)?
    } else {
        let file = File::open(path).map_err(|e| CommandError::file(path, &e))?;
        into(&options.data_dir, file, &secret, failed)?
    };
    print_result(&format!(
        "restored {people} people and {events} events of region {}, as of {}; epoch {epoch}\n\
         WHAT WAS ACKNOWLEDGED AFTER {} IS NOT IN IT: let every agency send again what it sent since then. Events that \
         exist already are answered `duplicate`.",
        head.region, head.as_of, head.as_of
    ));
    Ok(())
}

/// The head of a restored backup, its counts, and the epoch of the new store.
type Restored = (Head, Counts, u16);

fn into(
    data_dir: &Path,
    input: impl Read,
    secret: &Secret,
    failed: impl Fn(BackupError) -> CommandError,
) -> Result<Restored, CommandError> {
    let is_new = !data_dir.exists();
    let opened = DirBuilder::new().recursive(true).mode(0o700).create(data_dir).and_then(|()| File::open(data_dir));
    let directory = opened.map_err(|error| failed(error.into()))?;
    // Two restores at once would take each other for unfinished.
    let locked = directory.try_lock();
    locked.map_err(|_| CommandError::Usage("another restore into this directory is running".into()))?;
    let restored = match remaining(data_dir) {
        Ok(None) => fill(data_dir, &directory, input, secret).map_err(failed),
        Ok(Some(name)) => Err(CommandError::Usage(format!(
            "the data directory is not empty ({} is there): choose another --data-dir, or move the content of \
             this one away",
            name.display()
        ))),
        Err(error) => Err(failed(error.into())),
    };
    if restored.is_err() && is_new {
        // Fails, rightly, if the directory is not empty.
        let _ = fs::remove_dir(data_dir);
    }
    restored
}

/// Removes an unfinished restore from the data directory and returns a file that remains in it.
fn remaining(data_dir: &Path) -> io::Result<Option<OsString>> {
    if unfinished(data_dir) {
        remove(data_dir)?;
    }
    let names: Vec<_> = fs::read_dir(data_dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    // A file system's root has that directory of its own.
    Ok(names.into_iter().find(|name| name != "lost+found"))
}

/// Restores into the empty data directory; on an error the directory is empty again.
fn fill(data_dir: &Path, directory: &File, input: impl Read, secret: &Secret) -> Result<Restored, BackupError> {
    let part = data_dir.join(PART);
    DirBuilder::new().mode(0o700).create(&part)?;
    directory.sync_all()?;
    let restored = write(&part, input, secret).and_then(|restored| {
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

/// Removes the files of an unfinished restore, which began in an empty directory; `restore.part` goes last.
fn remove(data_dir: &Path) -> io::Result<()> {
    for name in [KEYS, STORE, PART] {
        match fs::remove_dir_all(data_dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        if name == STORE {
            let _ = fs::remove_file(data_dir.join(DEMO));
        }
    }
    Ok(())
}

/// Reads the backup to its end and writes its content below `part`.
fn write(part: &Path, input: impl Read, secret: &Secret) -> Result<Restored, BackupError> {
    let keys = part.join(KEYS);
    DirBuilder::new().mode(0o700).create(&keys)?;
    let input = secret.decrypt(BufReader::with_capacity(1 << 20, input))?;
    let mut blocks = Blocks { reader: Reader::new(input)?, part, head: None, end: None };
    let mut rows = Vec::new().into_iter();
    let rows = std::iter::from_fn(|| {
        loop {
            if let Some(row) = rows.next() {
                return Some(Ok(row));
            }
            rows = match blocks.next_rows() {
                Ok(Some(next)) => next.into_iter(),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
        }
    });
    let epoch = EmbeddedStore::restore(&part.join(STORE), rows, &record(OperatorAction::Restore))?;
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
    /// Reads up to the next rows and writes the files before them; `None` at the end.
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
        if !may_contain(name) {
            return Err(BackupError::NotABackup);
        }
        let path: PathBuf = self.part.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        Ok(file.sync_all()?)
    }
}
