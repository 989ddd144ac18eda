//! The stored events of one subject, as far as a group needs to know them.

use std::collections::{BTreeSet, HashMap};

use fjall::Slice;
use yima_schema::event::{Event, EventCounts, StoredEvent};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use super::keys;
use super::tables::Table;
use crate::Result;

/// Keys read of each subject. Most subjects have fewer events; of the others each event is looked up by itself.
const SCANNED_KEYS: usize = 64;
/// Subjects that stay known to have many events; above it all are forgotten. Memory: about 200 bytes each.
const LARGE_SUBJECTS: usize = 16_384;

/// The event keys of a subject, with those that the group adds.
pub(super) struct KnownEvents {
    /// All keys of the subject if they are few, else only those that the group adds.
    keys: BTreeSet<Slice>,
    /// How many of them the group adds.
    added: usize,
    /// Whether the subject has no other events.
    complete: bool,
    /// The number of all events, once it is needed.
    counts: Option<EventCounts>,
}

/// The content that is stored under an event's agency, id and revision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredContent {
    Absent,
    Same,
    Other,
}

/// Subjects that have many events, with their number where a group has counted them, as of the last durable group.
#[derive(Default)]
pub(super) struct LargeSubjects(HashMap<SubjectId, Option<EventCounts>>);

impl LargeSubjects {
    /// Whether a subject is known to have many.
    pub(super) fn has(&self, subject: SubjectId) -> bool {
        self.0.contains_key(&subject)
    }

    /// Remembers what a durable group found. A group counts before it adds, so what it did not count stays true.
    pub(super) fn remember(&mut self, known: HashMap<SubjectId, KnownEvents>) {
        if self.0.len() > LARGE_SUBJECTS {
            self.0.clear();
        }
        for (subject, known) in known.into_iter().filter(|(_, known)| !known.complete) {
            let counts = self.0.entry(subject).or_default();
            if known.counts.is_some() {
                *counts = known.counts;
            }
        }
    }
}

impl KnownEvents {
    /// Reads a subject's first keys, unless it is known to have many.
    pub(super) fn load(events: &Table, subject: SubjectId, large: &LargeSubjects) -> Result<Self> {
        if large.has(subject) {
            return Ok(Self { keys: BTreeSet::new(), added: 0, complete: false, counts: None });
        }
        let mut rows = events.prefix(subject.as_bytes());
        let keys = rows.by_ref().take(SCANNED_KEYS).map(|row| Ok(row?.0)).collect::<Result<_>>()?;
        let complete = rows.next().transpose()?.is_none();
        Ok(Self { keys: if complete { keys } else { BTreeSet::new() }, added: 0, complete, counts: None })
    }

    /// As [`stored_content`], with the events that the group adds.
    pub(super) fn content(&self, events: &Table, key: &Slice, event: &Event) -> Result<StoredContent> {
        let revision = &key[..key.len() - keys::HASH_BYTES];
        let mut found = StoredContent::Absent;
        for known in self.keys.range(Slice::from(revision)..).take_while(|k| k.starts_with(revision)) {
            if known == key {
                return Ok(StoredContent::Same);
            }
            found = StoredContent::Other;
        }
        if self.complete && found == StoredContent::Absent {
            return Ok(found);
        }
        Ok(match stored_content(events, key, event)? {
            StoredContent::Absent => found,
            stored @ (StoredContent::Same | StoredContent::Other) => stored,
        })
    }

    /// Whether the subject has room for one more event.
    pub(super) fn has_room_for(&mut self, events: &Table, event: &Event, large: &LargeSubjects) -> Result<bool> {
        let counts = match self.counts.take() {
            Some(counts) => counts,
            None if self.complete => {
                let mut counts = EventCounts::default();
                let agencies = self.keys.iter().map(|key| keys::event_agency(key));
                agencies.for_each(|agency| counts.add(agency.unwrap_or_default()));
                counts
            }
            None => match large.0.get(&event.subject) {
                Some(Some(counts)) => counts.clone(),
                Some(None) | None => count(events, event.subject)?,
            },
        };
        Ok(self.counts.insert(counts).has_room_for(event))
    }

    /// Adds an event that the group writes.
    pub(super) fn add(&mut self, key: Slice, event: &Event) {
        self.added += usize::from(self.keys.insert(key));
        if let Some(counts) = &mut self.counts {
            counts.add(&event.agency);
        }
    }

    /// Takes the last [`Self::add`] back.
    pub(super) fn take_back(&mut self, key: &Slice, event: &Event) {
        self.added -= usize::from(self.keys.remove(key));
        if let Some(counts) = &mut self.counts {
            counts.take_back(&event.agency);
        }
    }

    /// Whether the group adds events.
    pub(super) fn has_additions(&self) -> bool {
        self.added > 0
    }
}

/// The content that is stored under the same agency, id and revision as `event`, whose key this is. The same fact under
/// another hash is the same content.
pub(super) fn stored_content(events: &Table, key: &[u8], event: &Event) -> Result<StoredContent> {
    // Most that are stored are the same: that costs less than to begin a scan.
    if events.get(key)?.is_some() {
        return Ok(StoredContent::Same);
    }
    let mut found = StoredContent::Absent;
    for row in events.prefix(&key[..key.len() - keys::HASH_BYTES]) {
        if StoredEvent::decode(&row?.1).is_ok_and(|stored| stored.event.is_same_fact(event)) {
            return Ok(StoredContent::Same);
        }
        found = StoredContent::Other;
    }
    Ok(found)
}

/// Counts the stored events of a subject. One that cannot be read counts as the oldest: it is the fold that reports it.
fn count(events: &Table, subject: SubjectId) -> Result<EventCounts> {
    let mut received = Vec::new();
    for row in events.prefix(subject.as_bytes()) {
        let (key, row) = row?;
        let received_at = StoredEvent::decode(&row).map_or(Time::MIN, |stored| stored.received_at);
        received.push((received_at, keys::event_agency(&key).unwrap_or_default().to_owned()));
    }
    Ok(EventCounts::of(received.iter().map(|(received_at, agency)| (*received_at, agency.as_str()))))
}
