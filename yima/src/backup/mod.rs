//! `yima backup` and `yima restore`: the whole data directory in one encrypted file, except what can be rebuilt.
//!
//! A process that has the store open sends the backup over a socket in the data directory (`socket.rs`), so it keeps
//! running. Without such a process the command opens the store itself.

mod encryption;
mod format;
mod restore;
mod socket;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use age::stream::StreamWriter;
use rustix::fs::OFlags;
use yima_schema::audit::OperatorAction;
use yima_service::clock::now;
use yima_store::embedded::EmbeddedStore;

use crate::audit::record_done;
use crate::cli::{BackupSecret, Engine, Options};
use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::{KeyDir, is_key};
use encryption::Secret;
use format::{Block, Counts, Head, Reader, Writer};

pub use format::BackupError;
pub use restore::{restore, unfinished};
pub use socket::serve;

/// The file name that means standard output or input.
const STANDARD: &str = "-";
/// The file of the demo population, kept beside the keys.
const DEMO: &str = "demo.toml";

/// Writes a backup of the data directory, encrypted with the secret, to `path` or to standard output.
///
/// # Errors
/// The backup was not made, and no file of that name exists.
pub fn backup(options: &Options, path: &Path, secret: &BackupSecret) -> Result<(), CommandError> {
    embedded_only(options)?;
    let secret = Secret::read(secret)?;
    if unfinished(&options.data_dir) {
        return Err(CommandError::RestoreUnfinished(options.data_dir.clone()));
    }
    let (head, Counts { people, events }) = if path.as_os_str() == STANDARD {
        let failed = |error| CommandError::Backup { outcome: "the backup was not made".into(), error };
        copy(options, &secret, io::stdout().lock(), |mut out| out.flush(), failed)?
    } else {
        to_file(options, &secret, path)?
    };
    print_result(&format!(
        "backed up {people} people and {events} events: all that was acknowledged before {}",
        head.as_of
    ));
    Ok(())
}

/// Prints to standard error, since a backup may go to standard output. A closed standard error is ignored.
fn print_result(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn embedded_only(options: &Options) -> Result<(), CommandError> {
    match options.store {
        None | Some(Engine::Embedded) => Ok(()),
        Some(Engine::Cql) => Err(CommandError::Usage(
            "--store cql: back up the database with its own tools, and copy keys/ of the data directory; after \
             restoring the database run `yima rebuild` (docs/operations.md)"
                .into(),
        )),
    }
}

/// Refuses to run as another user than the owner of an existing data directory: the owner could not use files that
/// another user, even root, creates in it.
pub fn check_owner(data_dir: &Path) -> Result<(), CommandError> {
    let Ok(metadata) = fs::metadata(data_dir) else { return Ok(()) };
    let (owner, path) = (metadata.uid(), data_dir.display());
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(CommandError::Usage(format!("{path}: belongs to user {owner}: run this as that user, with sudo -u '#{owner}'")))
}

/// Writes the backup to `path`: to a `.part` file until it is complete and on disk.
fn to_file(options: &Options, secret: &Secret, path: &Path) -> Result<(Head, Counts), CommandError> {
    let exists = || CommandError::Usage(format!("{}: exists; name a file that does not", path.display()));
    if path.exists() {
        return Err(exists());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed =
        |error| CommandError::Backup { outcome: format!("{}: the backup was not made", path.display()), error };
    let busy = |_| CommandError::Usage(format!("{}: another backup is being written there", part.display()));
    // The part of an interrupted backup, or a file from elsewhere. Its lock is held to the end: a concurrent backup to
    // it is refused.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let stale = OpenOptions::new().read(true).custom_flags(flags).open(&part).ok();
    stale.iter().try_for_each(File::try_lock).map_err(busy)?;
    match fs::remove_file(&part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(CommandError::file(&part, &e)),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let file = file.map_err(|e| CommandError::file(&part, &e))?;
    file.try_lock().map_err(busy)?;
    let keep = |mut out: BufWriter<&File>| {
        out.flush()?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        sync_parent(path)
    };
    let written = copy(options, secret, BufWriter::with_capacity(1 << 20, &file), keep, failed);
    written.inspect_err(|_| drop(fs::remove_file(&part)))
}

/// Writes a complete backup to `out`, encrypted, received from the process that has the store open or exported here,
/// then calls `keep`.
fn copy<W: Write>(
    options: &Options,
    secret: &Secret,
    out: W,
    keep: impl FnOnce(W) -> io::Result<()>,
    failed: impl Fn(BackupError) -> CommandError,
) -> Result<(Head, Counts), CommandError> {
    let out = secret.encrypt(out).map_err(|error| failed(error.into()))?;
    let keep = |out: StreamWriter<W>| keep(out.finish()?);
    if let Some(stream) = socket::connect(&options.data_dir).map_err(|error| failed(error.into()))? {
        return receive(&stream, out, keep).map_err(failed);
    }
    let config = Config::load(options.config.as_deref(), Role::Everything)?;
    let directory = options.data_dir.join("store");
    if !directory.is_dir() {
        return Err(CommandError::Usage(format!("{}: there is no embedded store", options.data_dir.display())));
    }
    check_owner(&options.data_dir)?;
    let settings = config.embedded(&config.keys(&options.data_dir).pseudonyms()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(CommandError::Runtime)?;
    let _entered = runtime.enter();
    let store = EmbeddedStore::open(&directory, settings).map_err(|error| failed(error.into()))?;
    let content = export_and_keep(&store, &options.data_dir, &config.region.name, out, keep).map_err(failed)?;
    runtime.block_on(record_done(&*store, OperatorAction::Backup));
    Ok(content)
}

/// Copies a backup from the process that has the store open, then confirms to it that the backup is kept.
fn receive<W: Write>(
    stream: &UnixStream,
    mut out: W,
    keep: impl FnOnce(W) -> io::Result<()>,
) -> Result<(Head, Counts), BackupError> {
    let content = check(&mut Tee { input: BufReader::with_capacity(1 << 20, stream), out: &mut out })?;
    keep(out)?;
    socket::confirm(stream);
    Ok(content)
}

fn export_and_keep<W: Write>(
    store: &EmbeddedStore,
    data_dir: &Path,
    region: &str,
    mut out: W,
    keep: impl FnOnce(W) -> io::Result<()>,
) -> Result<(Head, Counts), BackupError> {
    let content = export(store, data_dir, region, &mut out)?;
    keep(out)?;
    Ok(content)
}

/// Whether a backup may contain a file of that name: one of the keys, `keys.json`, or the file of the demo population.
fn may_contain(name: &str) -> bool {
    name == DEMO || name.strip_prefix("keys/").is_some_and(is_key)
}

/// Reads a backup to its end and checks it.
fn check(input: &mut impl Read) -> Result<(Head, Counts), BackupError> {
    let mut reader = Reader::new(input)?;
    let mut head = None;
    loop {
        match reader.next_block()? {
            Block::Head(block) => head = Some(block),
            Block::File(name, _) if !may_contain(&name) => return Err(BackupError::NotABackup),
            Block::File(..) | Block::Rows(_) => {}
            Block::End(counts) => return Ok((head.ok_or(BackupError::NotABackup)?, counts)),
        }
    }
}

/// Writes a backup of an open store, its keys and the demo population's file.
fn export(
    store: &EmbeddedStore,
    data_dir: &Path,
    region: &str,
    out: impl Write,
) -> Result<(Head, Counts), BackupError> {
    let head = Head { as_of: now(), region: region.to_owned(), program: env!("CARGO_PKG_VERSION").to_owned() };
    let mut writer = Writer::new(out, &head)?;
    let demo = data_dir.join(DEMO);
    let directory = KeyDir::of(data_dir);
    let lock = directory.lock_shared()?;
    let keys = directory.files()?;
    for path in keys.into_iter().chain(demo.exists().then_some(demo)) {
        let name = path.strip_prefix(data_dir).ok().and_then(Path::to_str).ok_or(BackupError::NotABackup)?;
        writer.file(name, &fs::read(&path)?)?;
    }
    drop(lock);
    store.backup(|table, key, value| writer.row(table, key, value))?;
    Ok((head, writer.finish()?))
}

/// Makes a rename durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Copies everything read from `input` to `out`.
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
