//! The embedded engine: fjall tables in one directory of one process, and one thread that writes them.
//!
//! The committer thread writes every request as part of one batch, which is on disk before any reader can see it and
//! before it is acknowledged. That thread evaluates conditions (duplicate, full, version, stream open), so no lock is
//! needed per subject.

mod audit;
mod backup;
mod birth_dates;
mod bundle;
mod committer;
mod dead_letters;
mod error;
mod follower_progress;
mod group_commit;
mod identity;
mod import;
mod keys;
mod known_events;
mod options;
mod reading;
mod resources;
mod streams;
mod subject_scan;
mod tables;
mod unsettled;
mod writing;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::{Result, StoreError};
use committer::Queue;
use follower_progress::FollowerProgress;
use group_commit::Streams;
use identity::Identity;
use known_events::LargeSubjects;
use tables::Tables;
use unsettled::UnsettledMarks;

pub use backup::{SavedRow, SavedTable};
pub use import::ImportedSubject;
pub use options::EmbeddedOptions;

/// A store in a directory, which only one process can have open. Its methods need a tokio runtime.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    committer: Mutex<Option<(Queue, JoinHandle<()>)>>,
    identity: Identity,
    options: EmbeddedOptions,
    /// The first mark of this process; earlier processes left those below.
    first_mark: u64,
}

/// The part that readers and the committer thread share.
struct Shared {
    tables: Tables,
    /// The registry as of the last durable write.
    streams: ArcSwap<std::collections::BTreeMap<crate::StreamId, keys::Stream>>,
    published: Notify,
    /// Subjects with many events, for which the committer thread has no need to look.
    large: RwLock<LargeSubjects>,
    /// Of the follower in this process.
    progress: FollowerProgress,
    /// Locked by the writing thread. `false` once a write has failed, after which memory and disk may differ, and while
    /// an import runs.
    usable: Mutex<bool>,
}

impl EmbeddedStore {
    /// Opens the directory, or creates it. Seals every stream that the previous process left open, and undoes an import
    /// that did not finish. Blocks for as long as that takes (a second or so after a crash).
    ///
    /// # Errors
    /// `Rejected`, with what to do: another process has it open, it belongs to another region or pseudonym key, or it
    /// has a newer format. `Corrupt` or `Unavailable` as the disk has it.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Arc<Self>> {
        let tables = Tables::open(path, options.cache_bytes)?;
        let identity = Identity::check_or_create(&tables, &options)?;
        if import::was_interrupted(&tables)? {
            tracing::warn!("an import did not finish: removing its rows");
            tables.remove_subjects()?;
            import::forget(&tables)?;
        }
        let numbers = streams::recover(&tables)?;
        let first_mark = numbers.mark;
        let unsettled = UnsettledMarks::load(&tables)?;
        let shared = Arc::new(Shared {
            tables,
            streams: ArcSwap::new(Streams::clone(&numbers.streams)),
            published: Notify::new(),
            large: RwLock::default(),
            progress: FollowerProgress::default(),
            usable: Mutex::new(true),
        });
        let committer = committer::start(Arc::clone(&shared), numbers, unsettled)
            .map_err(|e| StoreError::Unavailable(format!("the committer thread cannot be started: {}", e.kind())))?;
        Ok(Arc::new(Self { shared, committer: Mutex::new(Some(committer)), identity, options, first_mark }))
    }

    /// Identifies this store, also against a new one in the same directory; random.
    pub fn store_id(&self) -> [u8; 16] {
        self.identity.store_id
    }

    /// Whether it has neither events nor views, so that [`Self::import`] is possible.
    ///
    /// # Errors
    /// `Unavailable` or `Corrupt` as the disk has it.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.shared.tables.events.is_empty()? && self.shared.tables.views.is_empty()?)
    }

    /// `false` once a write has failed: then it has to be opened again. Never waits.
    pub fn takes_writes(&self) -> bool {
        // A locked one is being written to.
        self.shared.usable.try_lock().is_none_or(|usable| *usable)
    }

    /// Bytes on disk: tables and journal.
    ///
    /// # Errors
    /// `Unavailable` after a failed write.
    pub fn disk_bytes(&self) -> Result<u64> {
        self.shared.tables.db.disk_space().map_err(|e| error::from_fjall("database", &e))
    }

    /// Takes no more writes, waits until those in flight are durable and answered, and ends the committer thread. Reads
    /// go on. The directory stays locked until the store is dropped.
    pub async fn close(&self) {
        let committer = self.committer.lock().take();
        let joined = tokio::task::spawn_blocking(move || join(committer)).await;
        if joined.is_err() {
            tracing::error!("closing the store was interrupted");
        }
    }
}

impl Shared {
    /// Wakes every waiting follower, or the next one to wait if none does.
    fn wake(&self) {
        self.published.notify_one();
        self.published.notify_waiters();
    }
}

/// Waits for the thread, so that the directory is unlocked once the store is dropped.
fn join(committer: Option<(Queue, JoinHandle<()>)>) {
    if let Some((queue, thread)) = committer {
        drop(queue);
        if thread.join().is_err() {
            tracing::error!("the committer thread panicked");
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        join(self.committer.get_mut().take());
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedStore({})", self.options.region)
    }
}
