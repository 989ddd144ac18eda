//! The disk tier: of everyone whom this node has looked up or heard of, the newest view that it knows, and how far it has followed.
//!
//! One table for all of it. A row and the state that says "everything up to here is in the rows" are written in this order into one
//! journal, of which a crash can only take the end: what is found at the next start may be old, and then so is what it says of itself.
//! The rows are written through, never behind, so none is older than what the feed told before the state that is found with it.

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

/// Key of the state. No subject's: those have 16 bytes.
const STATE: &[u8] = b"state";
const MIB: u64 = 1 << 20;
/// Blocks of the table kept in memory beside what the kernel keeps.
const BLOCK_CACHE: u64 = 32 * MIB;
/// What a start has to replay, at most.
const JOURNAL: u64 = 128 * MIB;

/// Settings of the tier.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Its directory, of this process alone.
    pub path: PathBuf,
    /// Over this, views of people who are not there yet are not kept any more. Bytes.
    pub max_bytes: u64,
    /// Whose views these are: a directory of another region or store is emptied.
    pub identity: Identity,
}

/// Why the tier cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has the directory.
    #[error("another process uses this directory")]
    InUse,
    /// The disk or what is on it.
    #[error("{0}")]
    Broken(String),
}

/// What was found about a subject.
pub struct Found {
    /// What proves it.
    pub held: Provenance,
    /// The view; its bytes are those that were stored.
    pub view: VersionedView,
}

/// See the module. All methods wait for the disk.
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
    /// Opens the directory, or makes it, and tells how far it had followed. What cannot be read, or belongs to another region, store or
    /// format, is removed: it is a cache.
    ///
    /// Some damage ends the whole process in fjall. A file beside the directory tells the next start, which then empties it first.
    ///
    /// # Errors
    /// The directory is in use, or cannot be made.
    pub fn open(options: DiskOptions) -> Result<(Self, Option<State>), DiskError> {
        let opening = options.path.with_extension("opening");
        fs::create_dir_all(options.path.parent().unwrap_or(Path::new(".")))?;
        let ended_here = opening.exists();
        let marker = File::create(&opening)?;
        marker.try_lock().map_err(|_| DiskError::InUse)?;
        if ended_here {
            tracing::warn!("an earlier start ended while it opened the cache on disk: it is emptied");
            remove(&options.path)?;
        }
        let opened = Self::open_or_empty(&options);
        fs::remove_file(&opening)?;
        opened
    }

    fn open_or_empty(options: &DiskOptions) -> Result<(Self, Option<State>), DiskError> {
        let recovered = std::panic::catch_unwind(AssertUnwindSafe(|| Self::recover(options)));
        match recovered.unwrap_or_else(|_| Err(DiskError::Broken("its files are damaged".into()))) {
            Ok(Recovered { disk, state: Some((identity, state)) }) if identity == options.identity => {
                return Ok((disk, Some(state)));
            }
            Ok(Recovered { disk, state: None }) if disk.rows.is_empty().unwrap_or(false) => return Ok((disk, None)),
            Ok(_) => tracing::warn!(
                "the cache on disk is another region's or store's, or knows nothing of itself: it is emptied"
            ),
            Err(DiskError::InUse) => return Err(DiskError::InUse),
            Err(DiskError::Broken(why)) => tracing::warn!(%why, "the cache on disk cannot be opened: it is emptied"),
        }
        remove(&options.path)?;
        Self::recover(options).map(|recovered| (recovered.disk, None))
    }

    fn recover(options: &DiskOptions) -> Result<Recovered, DiskError> {
        let builder = Database::builder(&options.path).cache_size(BLOCK_CACHE).max_journaling_size(JOURNAL);
        let in_use = |fault: &fjall::Error| matches!(fault, fjall::Error::Locked);
        let database =
            builder.open().map_err(|fault| if in_use(&fault) { DiskError::InUse } else { broken(&fault) })?;
        let table = || {
            let ten_bits = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
            KeyspaceCreateOptions::default().max_memtable_size(32 * MIB).filter_policy(FilterPolicy::all(ten_bits))
        };
        let rows = database.keyspace("rows", table).map_err(|fault| broken(&fault))?;
        let state = rows.get(STATE).map_err(|fault| broken(&fault))?;
        let decode =
            |row: fjall::Slice| state::decode(&row).ok_or_else(|| DiskError::Broken("an unknown format".into()));
        let state = state.map(decode).transpose()?;
        let (identity, max_bytes) = (options.identity.clone(), AtomicU64::new(options.max_bytes));
        let disk = Self { database, rows, identity, max_bytes, full: AtomicBool::new(false) };
        disk.measure();
        Ok(Recovered { disk, state })
    }

    /// What is here of a subject; `None` also for a row that knows a version and has no view.
    ///
    /// # Errors
    /// The disk, or a row that is damaged.
    pub fn lookup(&self, subject: SubjectId) -> Result<Option<Found>, DiskError> {
        let Some(row) = self.rows.get(subject.as_bytes()).map_err(|fault| broken(&fault))? else { return Ok(None) };
        row::decode(subject, &row).ok_or_else(|| DiskError::Broken("a row is damaged".into()))
    }

    /// Up to `limit` subjects after one, by ascending id, each with the version that is here. Damaged rows are left out.
    ///
    /// # Errors
    /// The disk.
    pub fn subjects(&self, after: Option<SubjectId>, limit: usize) -> Result<Vec<(SubjectId, Version)>, DiskError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes().to_vec()));
        let mut subjects = Vec::with_capacity(limit);
        for row in self.rows.range::<Vec<u8>, _>((from, Bound::Unbounded)) {
            let (key, row) = row.into_inner().map_err(|fault| broken(&fault))?;
            // The state's key has another length.
            let Ok(subject) = key.as_ref().try_into().map(SubjectId::from_bytes) else { continue };
            subjects.extend(row::split(subject, &row).map(|(held, _)| (subject, held.version)));
            if subjects.len() >= limit {
                break;
            }
        }
        Ok(subjects)
    }

    /// Writes what was learned of a subject, unless something newer is here, and returns the newest version that is here then. A `view`
    /// of `None` says only that the version exists; absences are not written. Whoever calls this is the only one for that subject.
    ///
    /// # Errors
    /// The disk. Nothing here may be believed any more then.
    pub fn raise(&self, subject: SubjectId, held: Provenance, view: Option<&[u8]>) -> Result<Version, DiskError> {
        let there = self.rows.get(subject.as_bytes()).map_err(|fault| broken(&fault))?;
        // A damaged row is overwritten.
        let known = there.as_ref().and_then(|row| row::split(subject, row));
        let newest = known.map_or(Version::ABSENT, |(known, _)| known.version);
        let says_the_same = known.is_some_and(|(known, there)| {
            known.version == held.version && known.generation == held.generation && there.is_empty() == view.is_none()
        });
        if newest > held.version || held.version == Version::ABSENT || says_the_same {
            return Ok(newest);
        }
        // Where there is nothing older, nothing has to be outdone.
        if there.is_none() && (view.is_none() || self.full.load(Ordering::Relaxed)) {
            return Ok(held.version);
        }
        let row = row::encode(subject, held, view);
        self.rows.insert(subject.as_bytes(), row).map_err(|fault| broken(&fault))?;
        Ok(held.version)
    }

    /// Notes how far everything that was told is in the rows.
    ///
    /// # Errors
    /// The disk. Nothing here may be believed any more then.
    pub fn save(&self, state: &State) -> Result<(), DiskError> {
        self.measure();
        self.rows.insert(STATE, state::encode(&self.identity, state)).map_err(|fault| broken(&fault))
    }

    /// Over so many bytes it takes nobody new from the next [`Self::save`] on.
    pub fn resize(&self, max_bytes: u64) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        self.rows.disk_space() + self.database.journal_disk_space().unwrap_or(0)
    }

    /// Subjects that are here, about: some are counted more than once until they are merged.
    pub fn entries(&self) -> usize {
        self.rows.approximate_len()
    }

    fn measure(&self) {
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        let full = self.bytes() >= max_bytes;
        if full && !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(max_bytes, "the cache on disk is full: nobody new is kept on it");
        }
        self.full.store(full, Ordering::Relaxed);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl From<std::io::Error> for DiskError {
    fn from(fault: std::io::Error) -> Self {
        Self::Broken(fault.to_string())
    }
}

fn broken(fault: &fjall::Error) -> DiskError {
    DiskError::Broken(fault.to_string())
}
