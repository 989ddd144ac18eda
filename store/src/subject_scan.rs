//! The full scan over all subjects: pages in an order that every region shares, with persisted progress.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use crate::Result;

/// A page of the subjects that have events. The token of a subject is its position in the order of all subjects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Ascending by token; two subjects can have one token.
    pub subjects: Vec<(i64, SubjectId)>,
    /// No other subject has a token between the beginning of the page and this one. [`i64::MAX`] at the end.
    pub upto: i64,
}

impl Page {
    /// The page of a query's rows. A full one may have been cut between two subjects of one token: those come with the
    /// next page.
    pub(crate) fn cut(mut subjects: Vec<(i64, SubjectId)>, limit: usize) -> Self {
        if subjects.len() < limit {
            return Self { subjects, upto: i64::MAX };
        }
        let last = subjects.last().map_or(i64::MAX, |(token, _)| *token);
        if subjects.first().is_some_and(|(token, _)| *token < last) && last < i64::MAX {
            subjects.retain(|(token, _)| *token < last);
            return Self { subjects, upto: last - 1 };
        }
        // A whole page of one token, which cannot be, or the highest token.
        Self { subjects, upto: last }
    }
}

/// Progress of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// All subjects up to this token are done; [`i64::MIN`] at the beginning, [`i64::MAX`] at the end.
    pub upto: i64,
    /// Counts of results, each by its name.
    pub counts: BTreeMap<String, u64>,
    /// When the task began.
    pub started_at: Time,
    /// When this was saved.
    pub updated_at: Time,
}

impl Progress {
    /// A task that begins.
    pub fn begin(now: Time) -> Self {
        Self { upto: i64::MIN, counts: BTreeMap::new(), started_at: now, updated_at: now }
    }

    /// Whether all subjects are done.
    pub fn is_done(&self) -> bool {
        self.upto == i64::MAX
    }

    /// The share that is done, from 0 to 1: tokens are spread evenly.
    pub fn part(&self) -> f64 {
        (self.upto as f64 - i64::MIN as f64) / (i64::MAX as f64 - i64::MIN as f64)
    }
}

/// The outcome of copying an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// The destination has it.
    Done,
    /// The origin does not have it.
    Absent,
    /// It cannot be read.
    Unreadable,
}

/// Scans all subjects that have events, here or as another region has them. A region is given by its name, this one by
/// `None`.
#[async_trait]
pub trait SubjectScan: Send + Sync {
    /// The other regions.
    async fn other_regions(&self) -> Result<Vec<String>>;
    /// Subjects with tokens above `after`, in order, up to `limit` (at least 2) of them.
    async fn subjects(&self, region: Option<&str>, after: i64, limit: usize) -> Result<Page>;
    /// The names of each subject's events, in the order given.
    async fn event_names(&self, region: Option<&str>, subjects: &[SubjectId]) -> Result<Vec<BTreeSet<EventName>>>;
    /// Reads events in one region and writes them in another one. Returns their outcomes in the order given.
    async fn copy(&self, from: Option<&str>, to: Option<&str>, events: &[EventName]) -> Result<Vec<Copied>>;
    /// The saved progress of a task; `None` if the task has not started.
    async fn progress(&self, task: &str) -> Result<Option<Progress>>;
    /// Saves the progress of a task.
    async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()>;
    /// Deletes the progress of a task: its next run starts from the beginning.
    async fn forget_progress(&self, task: &str) -> Result<()>;
    /// Takes the lease on a task of this region, or renews it. `false`: another process has it.
    async fn lease_task(&self, task: &str) -> Result<bool>;
    /// Releases the lease on a task.
    async fn release_task(&self, task: &str) -> Result<()>;
    /// Remembers that this region has, since that moment, compared all subjects with these other regions and copied the
    /// events it lacked. The reconciliation makes up for marks missed before it: their events were stored long before
    /// the marks could expire, so clocks may differ by hours.
    async fn reconciled(&self, regions: &[String], since: Time) -> Result<()>;
    /// The oldest rules among this region's writers with an open stream, 0 for one that announced none; `None` if there
    /// is no such writer.
    async fn oldest_rules(&self) -> Result<Option<u32>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_not_cut_within_a_token() {
        let rows = |tokens: &[i64]| -> Vec<_> {
            tokens.iter().zip(0..).map(|(token, n)| (*token, SubjectId::from_bytes([n; 16]))).collect()
        };
        let cut = |tokens: &[i64], limit| {
            let page = Page::cut(rows(tokens), limit);
            (page.subjects.into_iter().map(|(token, _)| token).collect::<Vec<_>>(), page.upto)
        };
        assert_eq!(cut(&[], 3), (vec![], i64::MAX));
        assert_eq!(cut(&[1, 2], 3), (vec![1, 2], i64::MAX));
        assert_eq!(cut(&[1, 2, 3], 3), (vec![1, 2], 2));
        assert_eq!(cut(&[1, 3, 3], 3), (vec![1], 2));
        assert_eq!(cut(&[1, 2, i64::MAX], 3), (vec![1, 2, i64::MAX], i64::MAX));
    }
}
