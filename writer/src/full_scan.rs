//! Going over everyone, page by page: at a set rate, one process of a region at a time, remembered after each page.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{Page, Progress, StoreError, SubjectScan};

/// Subjects in one page at most: their events are read and folded together.
const PAGE: usize = 500;
/// How long a page may take at a slow rate: leases are renewed between pages.
const PAGE_TIME: Duration = Duration::from_secs(1);
/// How often something that the store cannot do now is tried again, and how long to wait at first and at most.
const TRIES: u32 = 8;
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long to wait for a lease that another process has: it may have died.
const LEASE_WAIT: Duration = Duration::from_secs(12);

/// Subjects per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate(pub NonZeroU32);

impl Rate {
    /// Subjects in a page at this rate.
    fn page(self) -> usize {
        let in_time = u64::from(self.0.get()) * PAGE_TIME.as_millis() as u64 / 1000;
        (in_time as usize).clamp(1, PAGE)
    }

    /// How long so many may take.
    fn time_for(self, subjects: usize) -> Duration {
        Duration::from_secs_f64(subjects as f64 / f64::from(self.0.get()))
    }
}

/// What a scan is of.
pub(crate) struct Task {
    /// Its name in the table of progress; also that of its lease.
    pub(crate) name: String,
    /// Whose subjects: those that this region sees, or also those that others see.
    pub(crate) of_all_regions: bool,
    /// As fast as the store goes without one.
    pub(crate) rate: Option<Rate>,
    /// The present moment.
    pub(crate) clock: fn() -> Time,
}

/// See the module.
pub(crate) struct FullScan {
    store: Arc<dyn SubjectScan>,
    task: Task,
    regions: Vec<Option<String>>,
    progress: Progress,
    /// The end of the page that was handed out last.
    handed: i64,
    /// When the next page may begin.
    due: Instant,
}

impl FullScan {
    /// Takes the lease, and goes on where the task was left; from the beginning if it was finished, or `restart`.
    ///
    /// # Errors
    /// The store's; `Rejected` if another process is at it.
    pub(crate) async fn begin(store: Arc<dyn SubjectScan>, task: Task, restart: bool) -> Result<Self, StoreError> {
        let begun = Instant::now();
        while !with_backoff(|| store.lease_task(&task.name)).await? {
            if begun.elapsed() > LEASE_WAIT {
                return Err(StoreError::Rejected(format!("another process of this region is at `{}`", task.name)));
            }
            tokio::time::sleep(PAGE_TIME).await;
        }
        let found = with_backoff(|| store.progress(&task.name)).await?;
        let progress = found.filter(|found| !restart && !found.is_done());
        let progress = progress.unwrap_or_else(|| Progress::begin((task.clock)()));
        let mut regions = vec![None];
        if task.of_all_regions {
            regions.extend(with_backoff(|| store.other_regions()).await?.into_iter().map(Some));
        }
        Ok(Self { store, task, regions, handed: progress.upto, progress, due: Instant::now() })
    }

    /// The regions whose subjects are looked at; `None` is this one, and comes first.
    pub(crate) fn regions(&self) -> &[Option<String>] {
        &self.regions
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Adds to a count.
    pub(crate) fn count(&mut self, what: &str, n: usize) {
        *self.progress.counts.entry(what.to_owned()).or_default() += n as u64;
    }

    /// Gives the lease back before the end, so that whoever goes on need not wait for it.
    pub(crate) async fn leave(&self) {
        if let Err(fault) = self.store.give_back_task(&self.task.name).await {
            tracing::debug!(%fault, "a lease could not be given back; it ends by itself");
        }
    }

    /// Remembers that the last page is done and gives the next one, when it is due; `None` when everyone is done.
    ///
    /// # Errors
    /// The store's; `Rejected` if the lease was lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<SubjectId>>, StoreError> {
        if self.handed > self.progress.upto {
            self.progress.upto = self.handed;
            self.progress.updated_at = (self.task.clock)();
            with_backoff(|| self.store.save_progress(&self.task.name, &self.progress)).await?;
        }
        if self.progress.is_done() {
            with_backoff(|| self.store.give_back_task(&self.task.name)).await?;
            return Ok(None);
        }
        tokio::time::sleep_until(self.due).await;
        if !with_backoff(|| self.store.lease_task(&self.task.name)).await? {
            return Err(StoreError::Rejected(format!("another process of this region is at `{}`", self.task.name)));
        }
        let limit = self.task.rate.map_or(PAGE, Rate::page) + 1;
        let mut pages = Vec::with_capacity(self.regions.len());
        for region in &self.regions {
            let subjects = || self.store.subjects(region.as_deref(), self.progress.upto, limit);
            pages.push(with_backoff(subjects).await?);
        }
        let (subjects, upto) = union(pages);
        self.handed = upto;
        if let Some(rate) = self.task.rate {
            self.due = self.due.max(Instant::now()) + rate.time_for(subjects.len());
        }
        self.count("subjects", subjects.len());
        Ok(Some(subjects))
    }
}

/// Everyone whom any of the pages has, up to where all of them are complete.
fn union(pages: Vec<Page>) -> (Vec<SubjectId>, i64) {
    let upto = pages.iter().map(|page| page.upto).min().unwrap_or(i64::MAX);
    let all = pages.into_iter().flat_map(|page| page.subjects);
    let within: BTreeSet<(i64, SubjectId)> = all.filter(|(place, _)| *place <= upto).collect();
    (within.into_iter().map(|(_, subject)| subject).collect(), upto)
}

/// Tries again, a bounded number of times, what the store cannot do now.
pub(crate) async fn with_backoff<T, W: Future<Output = Result<T, StoreError>>>(
    work: impl Fn() -> W,
) -> Result<T, StoreError> {
    let mut wait = RETRY.0;
    for _ in 1..TRIES {
        match work().await {
            Err(StoreError::Unavailable(_) | StoreError::TimedOut) => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
            done @ (Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::Rejected(_))) => return done,
        }
    }
    work().await
}
