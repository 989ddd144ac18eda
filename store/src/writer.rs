//! The store as a writer uses it: events, folds and publication.

use std::num::NonZeroU32;

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;

use crate::{CompareAndSet, Mark, Result, StreamId, ViewReader, ViewWrite};

/// The outcome of an appended event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// Written now.
    New(Mark),
    /// The same content is already stored, and its fold may be owed; it is marked again, so that it goes through fold
    /// and publication like a new one.
    Duplicate(Mark),
    /// The same content is already stored and in the subject's view. Whether that view was published is not known: it
    /// has to be published again, and nothing has to be folded.
    Folded,
    /// The same content is already stored, folded and published. Nothing is owed.
    Settled,
    /// Another content is stored under the same agency, id and revision. Nothing was written.
    Conflict,
    /// The subject has no room for the event ([`yima_schema::event::EventCounts`]). Nothing was written.
    Full,
    /// An event of the same transaction was refused. Nothing was written.
    NotTried,
}

/// The outcome of a publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// Written, and the stream was still open afterwards: the events behind the changes may be acknowledged.
    Open,
    /// The stream is sealed: publish in a new one.
    Sealed,
}

/// Reads events.
#[async_trait]
pub trait EventReader: Send + Sync {
    /// All events of each subject, in the order given.
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>>;
    /// Whether each of these is stored, in the order given: [`StoredEvent::is_duplicate_of`] a stored one. Reads no
    /// other content of its subject's events than those of its revision.
    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>>;
}

/// All operations of a writer.
#[async_trait]
pub trait WriterStore: ViewReader + EventReader {
    /// Name of the region whose views it sets.
    fn region(&self) -> &str;
    /// The epoch below which no version may be written; raised before any restore or rebuild.
    fn epoch(&self) -> u16;
    /// Events of one agency that are appended at a time, where they keep those of others waiting.
    fn turn_events(&self) -> Option<NonZeroU32>;
    /// Marks and appends events, of one subject or many, each with its own outcome, in the order given. Durable when it
    /// returns.
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>>;
    /// The same, all or none: if one event is refused, nothing is written, also while other appends run.
    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>>;
    /// Sets views whose version is still the expected one, each on its own. Durable when it returns, and visible only
    /// then.
    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>>;
    /// The newest rules that a writer of this region announced; 0 before the first. An engine of one process has none.
    async fn active_rules(&self) -> Result<u32> {
        Ok(0)
    }
    /// Announces the rules that this process folds by, before it opens a stream, and makes them the active ones if they
    /// are newer. Returns the active ones: if they are newer than `version`, this process must not fold.
    async fn raise_rules(&self, version: u32) -> Result<u32> {
        Ok(version)
    }
    /// Opens a stream for this process.
    async fn open_stream(&self) -> Result<StreamId>;
    /// Appends changes to a stream under its next numbers and settles `marks`, whose folds the changes publish. Durable
    /// when it returns and, in a store of one process, applied by the follower of that process.
    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published>;
    /// Seals a stream: it takes no more rows, ever. Sealing a sealed one changes nothing.
    async fn close_stream(&self, stream: StreamId) -> Result<()>;
    /// Marks left unsettled by dead writers: their subjects have to be folded and published before anything is
    /// acknowledged on top of them.
    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>>;
}
