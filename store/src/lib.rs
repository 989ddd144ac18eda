//! Where yima keeps events, views and changes: narrow traits, and the engines behind them.
//!
//! A service depends on the traits that it needs. The order of steps that makes an acknowledgement true is the writer's
//! (append, look up the version, then read the events, derive, compare and set, publish); each step here is durable when it returns.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
mod error;

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

pub use error::StoreError;

/// What every call answers with.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A stored view with its version.
#[derive(Clone, PartialEq, Eq)]
pub struct VersionedView {
    /// Raised by each compare-and-set.
    pub version: Version,
    /// [`yima_schema::view::View::encode`].
    pub view: Bytes,
}

/// Number of a mark: a durable note "this subject has an event whose fold may not have been published".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark(pub u64);

/// What became of an appended event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// Written now.
    New(Mark),
    /// The same content was there already; it is marked again, so that it takes the same way through fold and publication.
    Duplicate(Mark),
    /// Another content is there under the same agency, id and revision. Nothing was written.
    Conflict,
    /// The subject has [`yima_schema::limits::MAX_EVENTS_PER_SUBJECT`] events. Nothing was written.
    Full,
}

/// One view to set if its version is still the one that was read.
#[derive(Clone)]
pub struct ViewWrite {
    /// Whose view.
    pub subject: SubjectId,
    /// The version that was read before the events were; [`Version::ABSENT`] if there was none.
    pub expected: Version,
    /// The version to write, greater than `expected`.
    pub next: Version,
    /// The view to write.
    pub view: Bytes,
}

/// What became of a compare-and-set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareAndSet {
    /// Written.
    Set,
    /// Another version is there: read again and start over.
    Lost,
}

/// A writer process's numbered sequence of changes; numbered densely per region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u32);

/// A stream as the registry shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamState {
    /// Which.
    pub id: StreamId,
    /// Lowest number that has not expired (1 as long as nothing has).
    pub first: u64,
    /// Highest number written; 0 if none.
    pub last: u64,
    /// Closed streams take no more rows.
    pub open: bool,
}

/// What became of a publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// Written, and the stream was still open afterwards: the events behind it may be acknowledged.
    Open,
    /// The stream is closed: publish in a new one.
    Closed,
}

/// Looks up views. What a read node needs of the store, with [`Feed`].
#[async_trait]
pub trait ViewReader: Send + Sync {
    /// The subject's view; `None` if it has none.
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>>;
    /// The views of many subjects in one call, in the order asked.
    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>>;
}

/// Follows what writers publish.
#[async_trait]
pub trait Feed: Send + Sync {
    /// Every stream of the region that is open or has rows which have not expired. Whatever was acknowledged before this is called is
    /// within the numbers it tells.
    async fn streams(&self) -> Result<Vec<StreamState>>;
    /// Up to `limit` rows of a stream with numbers above `after`, ascending. Numbers may be missing: another row may come to stand there.
    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Change)>>;
    /// Resolves when something may have been published since the last call; spurious wake-ups are fine. Callers bound the wait.
    async fn woken(&self);
}

/// Reads events.
#[async_trait]
pub trait EventReader: Send + Sync {
    /// All events of each subject, in the order asked.
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>>;
}

/// All that a writer does.
#[async_trait]
pub trait WriterStore: ViewReader + EventReader {
    /// The epoch below which no version may be written; raised before any restore or rebuild.
    fn epoch(&self) -> u16;
    /// Marks and appends events, of one subject or many, each with its own outcome, in the order given. Durable when it returns.
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>>;
    /// Sets views whose version is still the expected one, each on its own. Durable, and visible only then, when it returns.
    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>>;
    /// Opens a stream for this process.
    async fn open_stream(&self) -> Result<StreamId>;
    /// Appends changes to a stream under its next numbers and settles `marks`: the folds of which they told are published now. Durable
    /// when it returns.
    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published>;
    /// Closes a stream for good. Closing a closed one changes nothing.
    async fn close_stream(&self, stream: StreamId) -> Result<()>;
    /// Marks left unsettled by writers that are gone: their subjects have to be folded and published before anything is acknowledged
    /// on top of them.
    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>>;
}
