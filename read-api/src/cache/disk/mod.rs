//! The disk tier: the newest known view of every subject that this node has loaded or followed, and the state: how far
//! it has followed.
//!
//! One table holds both, and one journal keeps the order of their writes: first the rows, later the state, which claims
//! that every change up to its positions is in the rows. A crash can only lose the end of the journal. A state found at
//! the next start may therefore be old, but then its positions are old too. Rows are written through, never behind: no
//! row is older than the changes that the state beside it claims.

mod row;
mod state;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_store::VersionedView;

use super::freshness::Provenance;

pub use state::{Identity, Position, State};

/// Key of the state. Never a subject's: those have 16 bytes.
const STATE: &[u8] = b"state";
const MIB: u64 = 1 << 20;
/// Blocks of the table kept in memory, in addition to the kernel's page cache.
const BLOCK_CACHE: u64 = 32 * MIB;
/// The largest journal that a start has to replay.
const JOURNAL: u64 = 128 * MIB;

/// How a disk tier is opened.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Directory, used by this process alone.
    pub path: PathBuf,
    /// Bytes beyond which no new subjects are admitted.
    pub max_bytes: u64,
    /// Region and pseudonym key of the views. A directory with another identity is emptied.
    pub identity: Identity,
}

/// Why the disk tier cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process uses the directory.
    #[error("another process uses this directory")]
    InUse,
    /// The disk fails, or its content is damaged.
    #[error("{0}")]
    Broken(String),
}

/// A subject's row that has a view.
pub struct Row {
    /// Where the view came from.
    pub provenance: Provenance,
    /// The view, as it was stored.
    pub view: VersionedView,
}

/// An open disk tier. All methods wait for the disk.
pub struct Disk {
    database: Database,
    rows: Keyspace,
    identity: Identity,
    max_bytes: AtomicU64,
    full: AtomicBool,
}

struct Recovered {
    disk: Disk,
    state: Option<(Identity, State)>,
}

impl Disk {
    /// Opens the directory, or makes it, and returns the state that was saved in it. A directory that cannot be read,
    /// or belongs to another region, store or format, is emptied: it is only a cache.
    ///
    /// On some damage fjall ends the whole process. A marker file beside the directory makes the next start empty it
    /// first.
    ///
    /// # Errors
    /// The directory is in use, or cannot be made.
    pub fn open(options: DiskOptions) -> Result<(Self, Option<State>), DiskError> {
        let marker_path = options.path.with_extension("opening");
        fs::create_dir_all(options.path.parent().unwrap_or(Path::new(".")))?;
        let crashed_before = marker_path.exists();
        let marker = File::create(&marker_path)?;
        marker.try_lock().map_err(|_| DiskError::InUse)?;
        if crashed_before {
            tracing::warn!("an earlier start ended while it opened the disk tier; emptying it");
            remove(&options.path)?;
        }
        let opened = Self::open_or_empty(&options);
        fs::remove_file(&marker_path)?;
        opened
    }

    fn open_or_empty(options: &DiskOptions) -> Result<(Self, Option<State>), DiskError> {
        let recovered = std::panic::catch_unwind(AssertUnwindSafe(|| Self::recover(options)));
        match recovered.unwrap_or_else(|_| Err(DiskError::Broken("its files are damaged".into()))) {
            Ok(Recovered { disk, state: Some((identity, state)) }) if identity == options.identity => {
                return Ok((disk, Some(state)));
            }
            Ok(Recovered { disk, state: None }) if disk.rows.is_empty().unwrap_or(false) => return Ok((disk, None)),
            Ok(_) => tracing::warn!("the disk tier belongs to another region or store, or has no state; emptying it"),
            Err(DiskError::InUse) => return Err(DiskError::InUse),
            Err(error @ DiskError::Broken(_)) => tracing::warn!(%error, "the disk tier cannot be opened; emptying it"),
        }
        remove(&options.path)?;
        Self::recover(options).map(|recovered| (recovered.disk, None))
    }

    fn recover(options: &DiskOptions) -> Result<Recovered, DiskError> {
        let builder = Database::builder(&options.path).cache_size(BLOCK_CACHE).max_journaling_size(JOURNAL);
        let in_use = |error: &fjall::Error| matches!(error, fjall::Error::Locked);
        let database =
            builder.open().map_err(|error| if in_use(&error) { DiskError::InUse } else { broken(&error) })?;
        let table = || {
            let ten_bits = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
            KeyspaceCreateOptions::default().max_memtable_size(32 * MIB).filter_policy(FilterPolicy::all(ten_bits))
        };
        let rows = database.keyspace("rows", table).map_err(|error| broken(&error))?;
        let state = rows.get(STATE).map_err(|error| broken(&error))?;
        let decode =
            |bytes: fjall::Slice| state::decode(&bytes).ok_or_else(|| DiskError::Broken("an unknown format".into()));
        let state = state.map(decode).transpose()?;
        let (identity, max_bytes) = (options.identity.clone(), AtomicU64::new(options.max_bytes));
        let disk = Self { database, rows, identity, max_bytes, full: AtomicBool::new(false) };
        disk.measure();
        Ok(Recovered { disk, state })
    }

    /// A subject's row; `None` without one, and for a row that has a version but no view.
    ///
    /// # Errors
    /// The disk fails, or the row is damaged.
    pub fn lookup(&self, subject: SubjectId) -> Result<Option<Row>, DiskError> {
        let Some(bytes) = self.rows.get(subject.as_bytes()).map_err(|error| broken(&error))? else { return Ok(None) };
        row::decode(subject, &bytes).ok_or_else(|| DiskError::Broken("a row is damaged".into()))
    }

    /// Up to `limit` subjects after one, by ascending id, each with the version of its row. Damaged rows are left out.
    ///
    /// # Errors
    /// The disk fails.
    pub fn subjects(&self, after: Option<SubjectId>, limit: usize) -> Result<Vec<(SubjectId, Version)>, DiskError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes().to_vec()));
        let mut subjects = Vec::with_capacity(limit);
        for row in self.rows.range::<Vec<u8>, _>((from, Bound::Unbounded)) {
            let (key, row) = row.into_inner().map_err(|error| broken(&error))?;
            // The key of the state has another length.
            let Ok(subject) = key.as_ref().try_into().map(SubjectId::from_bytes) else { continue };
            subjects.extend(row::split(subject, &row).map(|(provenance, _)| (subject, provenance.version)));
            if subjects.len() >= limit {
                break;
            }
        }
        Ok(subjects)
    }

    /// Writes a subject's row unless a newer version is there, and returns the newest version that is there then.
    /// Without a `view` the row only states that the version exists; negative entries are not written. To be called
    /// under the subject's admission lock.
    ///
    /// # Errors
    /// The disk fails; nothing on it may be believed any more.
    pub fn raise(&self, subject: SubjectId, provenance: Provenance, view: Option<&[u8]>) -> Result<Version, DiskError> {
        let present = self.rows.get(subject.as_bytes()).map_err(|error| broken(&error))?;
        // A damaged row is overwritten.
        let known = present.as_ref().and_then(|row| row::split(subject, row));
        let newest = known.map_or(Version::ABSENT, |(known, _)| known.version);
        let is_equal = known.is_some_and(|(known, known_view)| {
            known.version == provenance.version
                && known.generation == provenance.generation
                && known_view.is_empty() == view.is_none()
        });
        if newest > provenance.version || provenance.version == Version::ABSENT || is_equal {
            return Ok(newest);
        }
        // Without an older row there is nothing that a bare version would have to supersede.
        if present.is_none() && (view.is_none() || self.full.load(Ordering::Relaxed)) {
            return Ok(provenance.version);
        }
        let row = row::encode(subject, provenance, view);
        self.rows.insert(subject.as_bytes(), row).map_err(|error| broken(&error))?;
        Ok(provenance.version)
    }

    /// Saves the state: every change up to its positions is in the rows.
    ///
    /// # Errors
    /// The disk fails; nothing on it may be believed any more.
    pub fn save(&self, state: &State) -> Result<(), DiskError> {
        self.measure();
        self.rows.insert(STATE, state::encode(&self.identity, state)).map_err(|error| broken(&error))
    }

    /// Changes the size beyond which no new subjects are admitted, from the next [`Self::save`] on.
    pub fn resize(&self, max_bytes: u64) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.rows.disk_space() + self.database.journal_disk_space().unwrap_or(0)
    }

    /// Number of subjects, about: some are counted more than once until their rows are merged.
    pub fn entries(&self) -> usize {
        self.rows.approximate_len()
    }

    fn measure(&self) {
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        let full = self.bytes() >= max_bytes;
        if full && !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(max_bytes, "the disk tier is full; no new subjects are admitted to it");
        }
        self.full.store(full, Ordering::Relaxed);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl From<std::io::Error> for DiskError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn broken(error: &fjall::Error) -> DiskError {
    DiskError::Broken(error.to_string())
}
