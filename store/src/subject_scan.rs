//! Going over everyone: pages of subjects in an order that every region shares, and how far a task has come in it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use crate::Result;

/// Some of the subjects that have events, each with its place in the order of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Ascending by place; two subjects can have one place.
    pub subjects: Vec<(i64, SubjectId)>,
    /// Nobody else has a place between where the page began and this one. [`i64::MAX`] at the end.
    pub upto: i64,
}

/// How far a task has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Everyone up to this place is done; [`i64::MIN`] at the beginning, [`i64::MAX`] at the end.
    pub upto: i64,
    /// What was done, by a word for it.
    pub counts: BTreeMap<String, u64>,
    /// When the task began.
    pub started_at: Time,
    /// When this was saved.
    pub updated_at: Time,
}

impl Progress {
    /// Nothing is done yet.
    pub fn begin(now: Time) -> Self {
        Self { upto: i64::MIN, counts: BTreeMap::new(), started_at: now, updated_at: now }
    }

    /// Whether everyone is done.
    pub fn is_done(&self) -> bool {
        self.upto == i64::MAX
    }

    /// The part that is done, from 0 to 1: places are spread evenly.
    pub fn part(&self) -> f64 {
        (self.upto as f64 - i64::MIN as f64) / (i64::MAX as f64 - i64::MIN as f64)
    }
}

/// What became of an event that was to be copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// It is there.
    Done,
    /// It is not where it was to be copied from.
    Absent,
    /// It cannot be read.
    Unreadable,
}

/// Goes over everyone who has events, here or as another region has them. A region is named, or `None` for this one. Only engines that
/// several processes or regions share have this.
#[async_trait]
pub trait SubjectScan: Send + Sync {
    /// The other regions.
    async fn other_regions(&self) -> Result<Vec<String>>;
    /// Subjects with places above `after`, in order, up to `limit` (at least 2) of them.
    async fn subjects(&self, region: Option<&str>, after: i64, limit: usize) -> Result<Page>;
    /// The names of each subject's events, in the order asked.
    async fn event_names(&self, region: Option<&str>, subjects: &[SubjectId]) -> Result<Vec<BTreeSet<EventName>>>;
    /// Reads events in one region and writes them so that another one has them, in the order asked.
    async fn copy(&self, from: Option<&str>, to: Option<&str>, events: &[EventName]) -> Result<Vec<Copied>>;
    /// How far a task has come; `None` if it has not begun.
    async fn progress(&self, task: &str) -> Result<Option<Progress>>;
    /// Remembers how far a task has come.
    async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()>;
    /// Forgets that a task has begun.
    async fn forget_progress(&self, task: &str) -> Result<()>;
    /// Takes the lease on a task of this region, or renews it. `false`: another process has it.
    async fn lease_task(&self, task: &str) -> Result<bool>;
    /// Gives the lease back.
    async fn give_back_task(&self, task: &str) -> Result<()>;
    /// Remembers that this region has, since that moment, compared everyone with every other region and brought what it lacked. Marks that
    /// were missed before are made up for: their events were there long before they could expire, so clocks may differ by hours.
    async fn reconciled(&self, since: Time) -> Result<()>;
    /// The oldest rules that a writer of this region folds by whose stream is open, 0 if one did not say; `None` if there is none.
    async fn oldest_rules(&self) -> Result<Option<u32>>;
}
