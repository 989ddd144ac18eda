//! Unsettled marks by subject: whose folds are owed.

use std::collections::HashMap;

use yima_schema::subject::SubjectId;

use super::keys;
use super::tables::Tables;
use crate::Result;

/// The marks of new events: the rows of the table of marks, without those that this process wrote for duplicates. An
/// event is stored together with its mark, and the mark is removed together with the publication of a view that
/// contains the event: so all stored events of a subject without such a mark are published.
#[derive(Default)]
pub(super) struct UnsettledMarks {
    /// Mark → subject.
    marks: HashMap<u64, SubjectId>,
    /// Subject → number of its marks.
    subjects: HashMap<SubjectId, usize>,
}

impl UnsettledMarks {
    /// Reads the table.
    pub(super) fn load(tables: &Tables) -> Result<Self> {
        let mut unsettled = Self::default();
        for row in tables.marks.prefix(&[]) {
            let (key, row) = row?;
            let (mark, subject) = keys::decode_mark(&key, &row).ok_or_else(|| tables.marks.corrupt("a mark"))?;
            unsettled.add(mark.number, subject);
        }
        Ok(unsettled)
    }

    /// Whether a fold of the subject is owed.
    pub(super) fn contains(&self, subject: SubjectId) -> bool {
        self.subjects.contains_key(&subject)
    }

    /// A durable mark of a new event.
    pub(super) fn add(&mut self, mark: u64, subject: SubjectId) {
        self.marks.insert(mark, subject);
        *self.subjects.entry(subject).or_default() += 1;
    }

    /// A mark that is durably removed.
    pub(super) fn settle(&mut self, mark: u64) {
        let Some(subject) = self.marks.remove(&mark) else { return };
        if let Some(marks) = self.subjects.get_mut(&subject) {
            *marks -= 1;
            if *marks == 0 {
                self.subjects.remove(&subject);
            }
        }
    }
}
