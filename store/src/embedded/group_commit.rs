//! A group of requests on its way to one durable write: what they have decided so far, on top of what the tables hold.
//!
//! Only the committer thread has one, so whatever it reads stays true until it has written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use yima_schema::event::StoredEvent;
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::keys::{self, Stream};
use super::tables::Tables;
use crate::append_outcome::{Decided, none_taken};
use crate::{Appended, CompareAndSet, Mark, Result, StreamId, ViewWrite};

/// Streams by id.
pub(super) type Streams = Arc<BTreeMap<StreamId, Stream>>;

/// What is numbered. Replaced by a group's copy when that is durable.
#[derive(Clone)]
pub(super) struct Numbers {
    /// The next mark.
    pub(super) mark: u64,
    /// The next stream.
    pub(super) stream: u32,
    /// Every stream that is open or has rows.
    pub(super) streams: Streams,
}

/// See the module.
pub(super) struct Group<'a> {
    pub(super) tables: &'a Tables,
    /// What it will write.
    pub(super) rows: OwnedWriteBatch,
    /// As they will be when it is written.
    pub(super) numbers: Numbers,
    /// When it began.
    pub(super) now: Time,
    /// Keys of the events of each subject that it has looked at, with those that it adds.
    events: HashMap<SubjectId, BTreeSet<Slice>>,
    /// Versions of each subject that it sets.
    versions: HashMap<SubjectId, Version>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub(super) fn new(tables: &'a Tables, numbers: Numbers) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tables,
            rows: tables.db.batch().durability(Some(PersistMode::SyncData)),
            numbers,
            now: Time::default().plus(since_epoch),
            events: HashMap::new(),
            versions: HashMap::new(),
        }
    }

    /// Writes all of it or nothing, and returns the numbers that hold from now on. fjall writes the journal and syncs it before it shows
    /// a row to any reader, so nothing is visible that could still be lost. `fdatasync` is enough: it covers the journal's size,
    /// and fjall syncs the directory when it starts a new journal.
    pub(super) fn commit(self) -> fjall::Result<Numbers> {
        self.rows.commit()?;
        Ok(self.numbers)
    }

    /// [`crate::WriterStore::append`].
    pub(super) fn append(&mut self, events: &[StoredEvent]) -> Result<Vec<Appended>> {
        let append = |event| self.decide(event).map(|(key, decided)| self.write(event, key, decided));
        events.iter().map(append).collect()
    }

    /// [`crate::WriterStore::append_all`].
    pub(super) fn append_all(&mut self, events: &[StoredEvent]) -> Result<Vec<Appended>> {
        let decided = events.iter().map(|event| self.decide(event)).collect::<Result<Vec<_>>>()?;
        let (keys, decided): (Vec<_>, Vec<_>) = decided.into_iter().unzip();
        let decided_by_key = keys.into_iter().zip(decided.iter().copied());
        if let Some(outcomes) = none_taken(&decided) {
            // Whoever comes after in this group has to find what will be there.
            for (event, (key, decided)) in events.iter().zip(decided_by_key) {
                if decided == Decided::New {
                    self.known_events(event.event.subject)?.remove(&key);
                }
            }
            return Ok(outcomes);
        }
        Ok(events.iter().zip(decided_by_key).map(|(event, (key, decided))| self.write(event, key, decided)).collect())
    }

    /// What is to become of an event, and its key; one that is new counts from now on.
    fn decide(&mut self, event: &StoredEvent) -> Result<(Slice, Decided)> {
        let key = Slice::from(keys::event(event)?);
        let known = self.known_events(event.event.subject)?;
        let revision = Slice::from(&key[..key.len() - keys::HASH_BYTES]);
        let decided = if known.contains(&key) {
            Decided::Duplicate
        } else if known.range(revision.clone()..).next().is_some_and(|k| k.starts_with(&revision)) {
            Decided::Conflict
        } else if known.len() >= MAX_EVENTS_PER_SUBJECT {
            Decided::Full
        } else {
            known.insert(key.clone());
            Decided::New
        };
        Ok((key, decided))
    }

    fn write(&mut self, event: &StoredEvent, key: Slice, decided: Decided) -> Appended {
        match decided {
            Decided::New => {
                self.rows.insert(self.tables.events.keyspace(), key, event.encode());
                Appended::New(self.mark(event.event.subject))
            }
            Decided::Duplicate => Appended::Duplicate(self.mark(event.event.subject)),
            Decided::Conflict => Appended::Conflict,
            Decided::Full => Appended::Full,
        }
    }

    fn mark(&mut self, subject: SubjectId) -> Mark {
        let mark = keys::mark(self.numbers.mark);
        self.numbers.mark += 1;
        self.rows.insert(self.tables.marks.keyspace(), mark.number.to_be_bytes(), subject.as_bytes());
        mark
    }

    /// The keys of a subject's events: one scan a subject and group, of `MAX_EVENTS_PER_SUBJECT` keys at most.
    fn known_events(&mut self, subject: SubjectId) -> Result<&mut BTreeSet<Slice>> {
        use std::collections::hash_map::Entry;
        match self.events.entry(subject) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(slot) => {
                let rows = self.tables.events.prefix(subject.as_bytes());
                Ok(slot.insert(rows.map(|row| Ok(row?.0)).collect::<Result<_>>()?))
            }
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
