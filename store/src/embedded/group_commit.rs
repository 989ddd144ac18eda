//! Group commit: the requests of one durable write, with their decisions so far on top of the tables.
//!
//! Only the committer thread has a group, so every row it reads stays true until it has written.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::keys::{self, Stream};
use super::known_events::{KnownEvents, LargeSubjects, StoredContent};
use super::tables::Tables;
use super::unsettled::UnsettledMarks;
use crate::append_outcome::{Decision, none_taken};
use crate::{Appended, CompareAndSet, Mark, Result, StreamId, ViewWrite};

/// What was found to be stored under an event's revision, by the event's position in its append. Events are never
/// removed and a revision takes one content, so what was found stays true; what was not found may be stored since.
pub(super) type Found = HashMap<usize, StoredContent>;
/// Streams by id.
pub(super) type Streams = Arc<BTreeMap<StreamId, Stream>>;

/// The next numbers, and the streams. Replaced by a group's copy when that is durable.
#[derive(Clone)]
pub(super) struct Numbers {
    /// The next mark.
    pub(super) mark: u64,
    /// The next stream.
    pub(super) stream: u32,
    /// Every stream that is open or has rows.
    pub(super) streams: Streams,
}

/// The requests of one durable write.
pub(super) struct Group<'a> {
    pub(super) tables: &'a Tables,
    /// The rows to write.
    pub(super) rows: OwnedWriteBatch,
    /// The next numbers and streams, in force once the group is durable.
    pub(super) numbers: Numbers,
    /// When the group began.
    pub(super) now: Time,
    /// Marks that the group removes.
    pub(super) settled: Vec<u64>,
    /// Folds that were owed before this group.
    unsettled: &'a UnsettledMarks,
    /// Marks that the group writes for new events. Those of duplicates make no later duplicate owe a fold, or a stream
    /// of duplicates would keep itself folding.
    marked: Vec<(u64, SubjectId)>,
    /// Events of each subject of an append, with those that the group adds.
    events: HashMap<SubjectId, KnownEvents>,
    large: &'a LargeSubjects,
    /// Versions of the views that the group sets.
    versions: HashMap<SubjectId, Version>,
    /// The moment of the bundle's index that the group sets.
    pub(super) released_at: Option<Time>,
}

/// What a durable group has changed.
pub(super) struct Committed {
    /// The numbers in force from now on.
    pub(super) numbers: Numbers,
    /// Marks that it wrote for new events.
    pub(super) marked: Vec<(u64, SubjectId)>,
    /// Marks that it removed.
    pub(super) settled: Vec<u64>,
    /// Events of the subjects of its appends.
    pub(super) events: HashMap<SubjectId, KnownEvents>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub(super) fn new(
        tables: &'a Tables,
        numbers: Numbers,
        unsettled: &'a UnsettledMarks,
        large: &'a LargeSubjects,
    ) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tables,
            rows: tables.db.batch().durability(Some(PersistMode::SyncData)),
            numbers,
            now: Time::default().plus(since_epoch),
            settled: Vec::new(),
            unsettled,
            marked: Vec::new(),
            events: HashMap::new(),
            large,
            versions: HashMap::new(),
            released_at: None,
        }
    }

    /// Writes the whole group or nothing. fjall writes the journal and
    /// syncs it before it shows a row to any reader, so no visible row can still be lost. `fdatasync` is enough: it
    /// covers the journal's size, and fjall syncs the directory when it starts a new journal.
    pub(super) fn commit(self) -> fjall::Result<Committed> {
        let Self { rows, numbers, marked, settled, events, .. } = self;
        rows.commit()?;
        Ok(Committed { numbers, marked, settled, events })
    }

    /// [`crate::WriterStore::append`].
    pub(super) fn append(&mut self, events: &[StoredEvent], found: &Found) -> Result<Vec<Appended>> {
        let append = |(at, event)| {
            let decided = self.decide(event, found.get(&at).copied());
            decided.map(|(key, decision)| self.write(event, key, decision))
        };
        events.iter().enumerate().map(append).collect()
    }

    /// [`crate::WriterStore::append_all`].
    pub(super) fn append_all(&mut self, events: &[StoredEvent]) -> Result<Vec<Appended>> {
        let decided = events.iter().map(|event| self.decide(event, None)).collect::<Result<Vec<_>>>()?;
        let (keys, decisions): (Vec<_>, Vec<_>) = decided.into_iter().unzip();
        let decided = keys.into_iter().zip(decisions.iter().copied());
        if let Some(outcomes) = none_taken(&decisions) {
            // Later requests of this group must not find events that will not be written.
            for (event, (key, decision)) in events.iter().zip(decided).rev() {
                if decision == Decision::New {
                    self.known_events(event.event.subject)?.take_back(&key, &event.event);
                }
            }
            return Ok(outcomes);
        }
        Ok(events.iter().zip(decided).map(|(event, (key, decision))| self.write(event, key, decision)).collect())
    }

    /// Decides about an event and returns its key; a new one counts from now on. `found`: what is known to be stored.
    fn decide(&mut self, event: &StoredEvent, found: Option<StoredContent>) -> Result<(Slice, Decision)> {
        let key = Slice::from(keys::event(event)?);
        let subject = event.event.subject;
        let (table, large, unsettled) = (&self.tables.events, self.large, self.unsettled);
        let known = self.known_events(subject)?;
        let content = match found {
            Some(content @ (StoredContent::Same | StoredContent::Other)) => content,
            Some(StoredContent::Absent) | None => known.content(table, &key, &event.event)?,
        };
        let decision = match content {
            // A mark that an earlier request of this group settles still counts.
            StoredContent::Same if known.has_additions() || unsettled.contains(subject) => Decision::Duplicate,
            StoredContent::Same => Decision::Settled,
            StoredContent::Other => Decision::Conflict,
            StoredContent::Absent if !known.has_room_for(table, &event.event, large)? => Decision::Full,
            StoredContent::Absent => {
                known.add(key.clone(), &event.event);
                Decision::New
            }
        };
        Ok((key, decision))
    }

    fn write(&mut self, event: &StoredEvent, key: Slice, decision: Decision) -> Appended {
        match decision {
            Decision::New => {
                self.rows.insert(self.tables.events.keyspace(), key, event.encode());
                let mark = self.mark(event.event.subject);
                self.marked.push((mark.number, event.event.subject));
                Appended::New(mark)
            }
            Decision::Duplicate => Appended::Duplicate(self.mark(event.event.subject)),
            Decision::Folded => Appended::Folded,
            Decision::Settled => Appended::Settled,
            Decision::Conflict => Appended::Conflict,
            Decision::Full => Appended::Full,
        }
    }

    fn mark(&mut self, subject: SubjectId) -> Mark {
        let mark = keys::mark(self.numbers.mark);
        self.numbers.mark += 1;
        self.rows.insert(self.tables.marks.keyspace(), mark.number.to_be_bytes(), subject.as_bytes());
        mark
    }

    /// What is known of a subject's events.
    fn known_events(&mut self, subject: SubjectId) -> Result<&mut KnownEvents> {
        match self.events.entry(subject) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(slot) => Ok(slot.insert(KnownEvents::load(&self.tables.events, subject, self.large)?)),
        }
    }

    /// [`crate::WriterStore::compare_and_set`].
    pub(super) fn compare_and_set(&mut self, writes: &[ViewWrite]) -> Result<Vec<CompareAndSet>> {
        writes.iter().map(|write| self.compare_and_set_one(write)).collect()
    }

    fn compare_and_set_one(&mut self, write: &ViewWrite) -> Result<CompareAndSet> {
        if self.version(write.subject)? != write.expected {
            return Ok(CompareAndSet::Lost);
        }
        self.versions.insert(write.subject, write.next);
        self.deny(&write.denials);
        let row = keys::encode_view(write.next, &write.view);
        self.rows.insert(self.tables.views.keyspace(), write.subject.as_bytes(), row);
        Ok(CompareAndSet::Set)
    }

    fn version(&self, subject: SubjectId) -> Result<Version> {
        if let Some(version) = self.versions.get(&subject) {
            return Ok(*version);
        }
        match self.tables.views.get(subject.as_bytes())? {
            None => Ok(Version::ABSENT),
            Some(row) => keys::view_version(&row).ok_or_else(|| self.tables.views.corrupt("a version")),
        }
    }
}
