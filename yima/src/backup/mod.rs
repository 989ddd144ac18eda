//! `yima backup` and `yima restore`: everything of a data directory that a machine's loss would take, in one file.
//!
//! The process that has the store open hands the backup out over a socket in the data directory (`socket.rs`), so that it need not stop;
//! if none runs, the command opens the store itself.

mod format;
mod restore;
mod socket;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use yima_service::clock::now;
use yima_store::embedded::EmbeddedStore;

use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::{KeyDir, is_key};
use crate::{Engine, Options};
use format::{BackupError, Block, Counts, Head, Reader, Writer};

pub use restore::{restore, unfinished};
pub use socket::serve;

/// What stands for standard output or input.
const STANDARD: &str = "-";
/// Kept beside the keys.
const DEMO: &str = "demo.toml";

/// Writes a backup of the data directory to `path`, or to standard output.
///
/// # Errors
/// The backup was not made, and there is no file of that name.
pub fn backup(options: &Options, path: &Path) -> Result<(), CommandError> {
    embedded_only(options)?;
    if unfinished(&options.data_dir) {
        return Err(CommandError::RestoreUnfinished(options.data_dir.clone()));
    }
    let made = if path.as_os_str() == STANDARD {
        copy(options, io::stdout().lock(), |mut out| out.flush())
            .map_err(|fault| fault.told("the backup was not made"))?
    } else {
        to_file(options, path)?
    };
    let (head, Counts { people, events }) = made;
    tell(&format!("backed up {people} people and {events} events: all that was acknowledged before {}", head.as_of));
    Ok(())
}

/// Results go to standard error, since a backup may go to standard output. Nobody may be reading.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn embedded_only(options: &Options) -> Result<(), CommandError> {
    match options.store {
        None | Some(Engine::Embedded) => Ok(()),
        Some(Engine::Cql) => Err(CommandError::Usage(
            "--store cql: back up the database with its own tools, and keys/ of the data directory by a copy; then `yima rebuild` after the database was put back \
             (docs/operations.md)"
                .into(),
        )),
    }
}

/// That we are the data directory's owner, if it is there: what another user, also root, makes in it could not be used by whoever it is for.
fn as_owner(data_dir: &Path) -> Result<(), CommandError> {
    let Ok(found) = fs::metadata(data_dir) else { return Ok(()) };
    let (owner, path) = (found.uid(), data_dir.display());
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(CommandError::Usage(format!("{path}: belongs to user {owner}: run this as that user, with sudo -u '#{owner}'")))
}

/// Under a name of its own until it is whole and on disk.
fn to_file(options: &Options, path: &Path) -> Result<(Head, Counts), CommandError> {
    let exists = || CommandError::Usage(format!("{}: exists; name a file that does not", path.display()));
    if path.exists() {
        return Err(exists());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed = |fault: BackupError| fault.told(&format!("{}: the backup was not made", path.display()));
    let busy = |_| CommandError::Usage(format!("{}: another backup is being written there", part.display()));
    // One that was begun before and cut short, or what somebody else has put there. Held to the end, so that who finds it too is told.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let stale = OpenOptions::new().read(true).custom_flags(flags).open(&part).ok();
    stale.iter().try_for_each(File::try_lock).map_err(busy)?;
    match fs::remove_file(&part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(CommandError::file(&part, &e)),
        _gone => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let file = file.map_err(|e| CommandError::file(&part, &e))?;
    file.try_lock().map_err(busy)?;
    let written = copy(options, BufWriter::with_capacity(1 << 20, &file), |mut out| {
        out.flush()?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        sync_parent(path)
    });
    written.inspect_err(|_| drop(fs::remove_file(&part))).map_err(failed)
}

/// Copies a whole backup to `out`, from the process that has the store open, or made here, and has it kept.
fn copy<W: Write>(
    options: &Options,
    mut out: W,
    keep: impl FnOnce(W) -> io::Result<()>,
) -> Result<(Head, Counts), BackupError> {
    if let Some(stream) = socket::ask(&options.data_dir)? {
        let made = check(&mut Tee { input: BufReader::with_capacity(1 << 20, &stream), out: &mut out })?;
        keep(out)?;
        socket::kept(&stream);
        return Ok(made);
    }
    let config = Config::load(options.config.as_deref(), Role::Everything)?;
    let directory = options.data_dir.join("store");
    if !directory.is_dir() {
        return Err(CommandError::Usage(format!("{}: there is no embedded store", options.data_dir.display())).into());
    }
    as_owner(&options.data_dir)?;
    let settings = config.embedded(&KeyDir::of(&options.data_dir).pseudonyms()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let _within = runtime.enter();
    let store = EmbeddedStore::open(&directory, settings)?;
    let made = make(&store, &options.data_dir, &config.region.name, &mut out)?;
    keep(out)?;
    Ok(made)
}

/// Whether a backup may have a file of that name: a key, or what the demo is made of.
fn is_ours(name: &str) -> bool {
    name == DEMO || name.strip_prefix("keys/").is_some_and(is_key)
}

/// Reads a backup to its end.
fn check(input: &mut impl Read) -> Result<(Head, Counts), BackupError> {
    let mut reader = Reader::new(input)?;
    let mut head = None;
    loop {
        match reader.next_block()? {
            Block::Head(found) => head = Some(found),
            Block::File(name, _) if !is_ours(&name) => return Err(BackupError::NotABackup),
            Block::File(..) | Block::Rows(_) => {}
            Block::End(counts) => return Ok((head.ok_or(BackupError::NotABackup)?, counts)),
        }
    }
}

/// Writes a backup of an open store and of what lies beside it.
fn make(store: &EmbeddedStore, data_dir: &Path, region: &str, out: impl Write) -> Result<(Head, Counts), BackupError> {
    let head = Head { as_of: now(), region: region.to_owned(), program: env!("CARGO_PKG_VERSION").to_owned() };
    let mut writer = Writer::new(out, &head)?;
    let demo = data_dir.join(DEMO);
    let keys = KeyDir::of(data_dir).files()?;
    for path in keys.into_iter().chain(demo.exists().then_some(demo)) {
        let name = path.strip_prefix(data_dir).ok().and_then(Path::to_str).ok_or(BackupError::NotABackup)?;
        writer.file(name, &fs::read(&path)?)?;
    }
    store.backup(|table, key, value| writer.row(table, key, value))?;
    Ok((head, writer.finish()?))
}

/// So that a name that was given lasts.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Copies what is read.
struct Tee<R, W> {
    input: R,
    out: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.out.write_all(&bytes[..read])?;
        Ok(read)
    }
}
