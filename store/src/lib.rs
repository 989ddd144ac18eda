//! Where yima keeps events, views and changes: narrow traits, and the engines behind them.
//!
//! A service depends on the traits that it needs. The order of steps that makes an acknowledgement true is the writer's
//! (append, look up the version, then read the events, derive, compare and set, publish); each step here is durable when it returns.

mod append_outcome;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cql;
mod deferred;
pub mod embedded;
mod error;
pub mod failpoint;
mod span;
mod subject_scan;
mod watermark;

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

pub use deferred::Deferred;
pub use error::StoreError;
pub use subject_scan::{Copied, Page, Progress, SubjectScan};
pub use watermark::Watermark;

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

/// A mark: a durable note "this subject has an event whose fold may not have been published".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark {
    /// The stream it is in; an engine with one sequence for all uses stream 0.
    pub stream: StreamId,
    /// Its number there.
    pub number: u64,
}

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
    /// Another event that it was to be taken with cannot be. Nothing was written.
    NotTried,
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
    /// Every number up to this one was written before the registry was read: one that cannot be read has expired. An open stream may have
    /// more rows; that of a closed one is its last.
    pub last: u64,
    /// Closed streams take no more rows.
    pub open: bool,
}

/// What a poll of the feed begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registry {
    /// Every stream of the region that is open, has rows which have not expired, or was closed not longer ago than a follower may be
    /// away from it.
    pub streams: Vec<StreamState>,
    /// The store's own clock, where it has one: if ours is ahead, answers must not claim what ours says.
    pub clock: Option<Time>,
    /// [`WriterStore::epoch`]. When it is raised, everything held was made before a restore or rebuild.
    pub epoch: u16,
    /// Other regions by name, each with the moment before which everything acknowledged there had been folded and published here when
    /// this was read; `None` before the first time.
    pub regions: Vec<(String, Option<Time>)>,
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
    /// The streams there are. Whatever was acknowledged before this is called is in one of them, and can be read.
    async fn registry(&self) -> Result<Registry>;
    /// Up to `limit` rows of a stream with numbers above `after`, ascending; none if there are no more now. `None` under a number that was
    /// never used. Numbers may be missing: another row may come to stand there.
    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>>;
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
    /// The same, all or none: if one of them cannot be taken, nothing is written, also when others append at the same time.
    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>>;
    /// Sets views whose version is still the expected one, each on its own. Durable, and visible only then, when it returns.
    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>>;
    /// The newest rules that a writer of this region said it folds by; 0 before the first. An engine of one process has none.
    async fn active_rules(&self) -> Result<u32> {
        Ok(0)
    }
    /// Says which rules this process folds by, before it opens a stream, and makes them the active ones if they are newer. Returns the
    /// active ones: if they are newer than `version`, this process must not fold.
    async fn raise_rules(&self, version: u32) -> Result<u32> {
        Ok(version)
    }
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

/// A stream whose marks have to be followed: another region's, or a closed one of this region whose writer did not finish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Whose.
    pub region: String,
    /// Which of that region's streams.
    pub stream: StreamId,
    /// Marks up to this one are folded and published here.
    pub position: u64,
    /// What [`MarkFeed::settle`] last said with it; [`Time::MIN`] before.
    pub settled_as_of: Time,
    /// Marks of it were lost since this region was last reconciled: `settled_as_of` has to stand still.
    pub missed: bool,
    /// Every mark up to this one was written before this was read, as the stream's region says. When the stream is closed, its last.
    pub written: u64,
    /// Closed streams take no more marks.
    pub open: bool,
    /// The highest number that the stream's writer had given to a mark at `as_of`, by its own clock: what it had acknowledged before has
    /// a mark up to this one.
    pub taken: u64,
    /// See `taken`.
    pub as_of: Time,
}

/// Where something is read that was written in another region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Here, where it may not have arrived yet.
    Here,
    /// In the region that it comes from, which may not answer.
    Source,
}

/// Follows marks. Only engines that several processes or regions share have one.
#[async_trait]
pub trait MarkFeed: Send + Sync {
    /// Every stream that has to be followed here.
    async fn sources(&self) -> Result<Vec<Source>>;
    /// Takes the lease on a stream's marks, or renews it. `false`: another writer has it.
    async fn lease(&self, source: &Source) -> Result<bool>;
    /// Up to `limit` marks above `after`, ascending, as `place` has them; `None` under a number that was never used. Numbers may be missing.
    async fn marks(
        &self,
        source: &Source,
        place: Place,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<EventName>)>>;
    /// Which of these events this region can read, in the order asked.
    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>>;
    /// Reads events in the region of the source and keeps them here; which of them that region has, in the order asked.
    async fn fetch(&self, source: &Source, events: &[EventName]) -> Result<Vec<bool>>;
    /// Remembers that everything up to `position` is folded and published, and that this makes everything true that was acknowledged in
    /// that stream before `as_of`.
    async fn settle(&self, source: &Source, position: u64, as_of: Time) -> Result<()>;
    /// Remembers that marks of a stream expired unread, before they are passed over: nobody may be told to know what was acknowledged in it
    /// until [`SubjectScan::reconciled`].
    async fn missed(&self, source: &Source) -> Result<()>;
    /// Closes the streams of this region's writers that have given no sign of life for some time, and returns how many.
    async fn close_dead(&self) -> Result<usize>;
}
