//! The feed: all streams of a region.

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::time::Time;

use crate::Result;

/// Names a stream, one writer's append-only log of changes; numbered densely per region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u32);

/// A stream as the registry shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamState {
    /// The stream.
    pub id: StreamId,
    /// Every number up to this one was written before the registry was read: a number that cannot be read has expired.
    /// An open stream may have more rows; in a sealed one this is the last.
    pub last: u64,
    /// `false`: the stream is sealed and takes no more rows.
    pub open: bool,
}

/// The registry, with which a poll of the feed begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registry {
    /// Every stream of the region that is open, has rows which have not expired, or was sealed within the time that a
    /// follower may be away.
    pub streams: Vec<StreamState>,
    /// The store's own clock, where it has one. While the local clock is ahead of it, answers must not claim the local
    /// time.
    pub clock: Option<Time>,
    /// [`WriterStore::epoch`](crate::WriterStore::epoch). When it is raised, everything cached dates from before a
    /// restore or rebuild.
    pub epoch: u16,
    /// Other regions by name, each with the moment before which everything acknowledged there had been folded and
    /// published here when this was read; `None` before the first time.
    pub regions: Vec<(String, Option<Time>)>,
}

/// Follows the changes that writers publish.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The streams of the region. Every change acknowledged before this call is in one of them, and can be read.
    async fn registry(&self) -> Result<Registry>;
    /// Up to `limit` rows of a stream with numbers above `after`, ascending; none if there are no more now. `None` for
    /// a number that was never used (a void row). Numbers may be missing: their rows may be written later.
    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>>;
    /// Told by a follower after each complete poll: it has applied every change of these streams up to these numbers.
    /// Without streams: it has stopped following. A store of one process lets [`WriterStore::publish`] wait for it.
    ///
    /// [`WriterStore::publish`]: crate::WriterStore::publish
    fn applied(&self, _through: &[(StreamId, u64)]) {}
    /// Resolves when something may have been published since the last call; spurious wake-ups are fine. Callers bound
    /// the wait.
    async fn woken(&self);
}
