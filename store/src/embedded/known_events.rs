//! The stored events of one subject, as far as a group needs to know them.

use std::collections::{BTreeSet, HashMap};

use fjall::Slice;
use yima_schema::subject::SubjectId;

use super::keys;
use super::tables::Table;
use crate::Result;

/// Keys read of each subject. Most subjects have fewer events; of the others each event is looked up by itself.
const SCANNED_KEYS: usize = 64;
/// Subjects whose number of events is remembered; above it all are forgotten. Memory: about 40 bytes each.
const COUNTED_SUBJECTS: usize = 65_536;

/// The event keys of a subject, with those that the group adds.
pub(super) struct KnownEvents {
    /// All keys of the subject if they are few, else only those that the group adds.
    keys: BTreeSet<Slice>,
    /// How many of them the group adds.
    added: usize,
    stored: Stored,
}

/// Events of a subject that are not in [`KnownEvents::keys`].
#[derive(Clone, Copy)]
enum Stored {
    /// None.
    None,
    /// Many; their number is known once it is needed.
    Many(Option<usize>),
}

/// The content that is stored under an event's agency, id and revision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredContent {
    Absent,
    Same,
    Other,
}

/// The number of events of subjects that have many, as of the last durable group.
#[derive(Default)]
pub(super) struct EventCounts(HashMap<SubjectId, usize>);

impl EventCounts {
    /// Remembers what a durable group counted.
    pub(super) fn remember(&mut self, known: &HashMap<SubjectId, KnownEvents>) {
        if self.0.len() > COUNTED_SUBJECTS {
            self.0.clear();
        }
        for (subject, known) in known {
            match known.stored {
                Stored::Many(Some(stored)) => {
                    self.0.insert(*subject, stored + known.keys.len());
                }
                // Not counted: what was remembered is out of date if the group added events.
                Stored::Many(None) if known.has_additions() => {
                    self.0.remove(subject);
                }
                Stored::Many(None) | Stored::None => {}
            }
        }
    }
}

impl KnownEvents {
    /// Reads a subject's first keys.
    pub(super) fn load(events: &Table, subject: SubjectId) -> Result<Self> {
        let mut rows = events.prefix(subject.as_bytes());
        let keys = rows.by_ref().take(SCANNED_KEYS).map(|row| Ok(row?.0)).collect::<Result<_>>()?;
        let has_more = rows.next().transpose()?.is_some();
        Ok(if has_more {
            Self { keys: BTreeSet::new(), added: 0, stored: Stored::Many(None) }
        } else {
            Self { keys, added: 0, stored: Stored::None }
        })
    }

    /// The content under the same agency, id and revision as `key`.
    pub(super) fn content(&self, events: &Table, key: &Slice) -> Result<StoredContent> {
        let revision = &key[..key.len() - keys::HASH_BYTES];
        let mut found = StoredContent::Absent;
        for known in self.keys.range(Slice::from(revision)..).take_while(|k| k.starts_with(revision)) {
            if known == key {
                return Ok(StoredContent::Same);
            }
            found = StoredContent::Other;
        }
        if let Stored::Many(_) = self.stored {
            for row in events.prefix(revision) {
                if row?.0 == *key {
                    return Ok(StoredContent::Same);
                }
                found = StoredContent::Other;
            }
        }
        Ok(found)
    }

    /// The number of the subject's events.
    pub(super) fn count(&mut self, events: &Table, subject: SubjectId, counts: &EventCounts) -> Result<usize> {
        let stored = match self.stored {
            Stored::None => 0,
            Stored::Many(Some(stored)) => stored,
            Stored::Many(None) => match counts.0.get(&subject) {
                Some(stored) => *stored,
                None => events.prefix(subject.as_bytes()).try_fold(0, |count, row| row.map(|_| count + 1))?,
            },
        };
        if let Stored::Many(known) = &mut self.stored {
            *known = Some(stored);
        }
        Ok(stored + self.keys.len())
    }

    /// Adds an event that the group writes.
    pub(super) fn add(&mut self, key: Slice) {
        self.added += usize::from(self.keys.insert(key));
    }

    /// Takes [`Self::add`] back.
    pub(super) fn remove(&mut self, key: &Slice) {
        self.added -= usize::from(self.keys.remove(key));
    }

    /// Whether the group adds events.
    pub(super) fn has_additions(&self) -> bool {
        self.added > 0
    }
}
