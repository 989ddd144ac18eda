//! Marks: the outbox of folds that are still owed, and the trait to follow other writers' marks.

use async_trait::async_trait;
use yima_schema::mark::EventName;
use yima_schema::time::Time;

use crate::{Result, StreamId};

/// Names a mark, an outbox record: "this subject has an event whose fold may not have been published".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark {
    /// The stream of the mark; an engine with one sequence for all uses stream 0.
    pub stream: StreamId,
    /// Its number in the stream.
    pub number: u64,
}

/// A stream whose marks have to be followed: another region's, or a sealed one of this region whose writer did not
/// finish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The stream's region.
    pub region: String,
    /// The stream.
    pub stream: StreamId,
    /// Marks up to this one are folded and published here.
    pub position: u64,
    /// The `as_of` of the last [`MarkFeed::settle`]; [`Time::MIN`] before the first.
    pub settled_as_of: Time,
    /// Marks of it were lost since this region was last reconciled: `settled_as_of` has to stand still.
    pub missed: bool,
    /// Every mark up to this one was written before this was read, as the stream's region reports it. In a sealed
    /// stream this is the last mark.
    pub written: u64,
    /// `false`: the stream is sealed and takes no more marks.
    pub open: bool,
    /// The highest number that the stream's writer had given to a mark at `as_of`, by its own clock: every event that
    /// it had acknowledged before `as_of` has a mark up to this one.
    pub taken: u64,
    /// The moment of `taken`, by the clock of the stream's writer.
    pub as_of: Time,
}

/// The region in which marks written by another region are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// This region, where they may not have arrived yet.
    Here,
    /// The region that wrote them, which may not answer.
    Source,
}

/// Follows marks. Only engines that several processes or regions share implement this trait.
#[async_trait]
pub trait MarkFeed: Send + Sync {
    /// Every stream that has to be followed here.
    async fn sources(&self) -> Result<Vec<Source>>;
    /// Takes the lease on a stream's marks, or renews it. `false`: another writer has it.
    async fn lease(&self, source: &Source) -> Result<bool>;
    /// Up to `limit` marks above `after`, ascending, as the region `place` has them; `None` for a number that was never
    /// used (a void row). Numbers may be missing.
    async fn marks(
        &self,
        source: &Source,
        place: Place,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<EventName>)>>;
    /// Whether this region can read each of these events, in the order given.
    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>>;
    /// Reads events in the source region and writes them here. Returns, in the order given, whether the source region
    /// has each event.
    async fn fetch(&self, source: &Source, events: &[EventName]) -> Result<Vec<bool>>;
    /// Remembers that all marks up to `position` are folded and published, and with them every event acknowledged in
    /// that stream before `as_of`.
    async fn settle(&self, source: &Source, position: u64, as_of: Time) -> Result<()>;
    /// Remembers that marks of a stream expired unread, before the position moves beyond them: until
    /// [`SubjectScan::reconciled`] no answer may claim the events acknowledged in it.
    ///
    /// [`SubjectScan::reconciled`]: crate::SubjectScan::reconciled
    async fn missed(&self, source: &Source) -> Result<()>;
    /// Seals the streams of this region's writers whose heartbeats have stopped, and returns how many.
    async fn seal_dead_streams(&self) -> Result<usize>;
}
