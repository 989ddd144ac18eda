//! Full scan over all subjects in token order: page by page at a set rate, by one process of a region at a time, with
//! progress persisted after each page.

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

use crate::backoff::with_backoff;

/// Largest number of subjects in a page: their events are read and folded together.
const PAGE: usize = 500;
/// Longest time for a page at a low rate: the lease is renewed between pages.
const PAGE_TIME: Duration = Duration::from_secs(1);
/// How long to wait for a lease that another process holds: that process may have died.
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

    /// The time that this rate gives to so many subjects.
    fn time_for(self, subjects: usize) -> Duration {
        Duration::from_secs_f64(subjects as f64 / f64::from(self.0.get()))
    }
}

/// The task of a scan, and the subjects that it covers.
pub(crate) struct Task {
    /// The task's name in the table of progress; its lease has the same name.
    pub(crate) name: String,
    /// Which subjects it scans, besides those of this region.
    pub(crate) others: OtherRegions,
    /// `None`: as fast as the store answers.
    pub(crate) rate: Option<Rate>,
    /// The current time.
    pub(crate) clock: fn() -> Time,
}

/// The other regions whose subjects a scan covers.
pub(crate) enum OtherRegions {
    /// None.
    None,
    /// All that are not retired, except these.
    AllBut(Vec<String>),
}

/// A scan that holds its task's lease.
pub(crate) struct FullScan {
    store: Arc<dyn SubjectScan>,
    task: Task,
    regions: Vec<Option<String>>,
    progress: Progress,
    /// The end of the page that was returned last.
    returned_upto: i64,
    /// When the next page may begin.
    next_page_at: Instant,
}

impl FullScan {
    /// Takes the lease and continues where the task was interrupted; from the beginning if it was finished, or with
    /// `restart`.
    ///
    /// # Errors
    /// The store's; `Rejected` if another process holds the lease.
    pub(crate) async fn begin(store: Arc<dyn SubjectScan>, task: Task, restart: bool) -> Result<Self, StoreError> {
        let waiting_since = Instant::now();
        while !with_backoff(|| store.lease_task(&task.name)).await? {
            if waiting_since.elapsed() > LEASE_WAIT {
                return Err(lease_held(&task));
            }
            tokio::time::sleep(PAGE_TIME).await;
        }
        let saved = with_backoff(|| store.progress(&task.name)).await?;
        let progress = saved.filter(|saved| !restart && !saved.is_done());
        let progress = progress.unwrap_or_else(|| Progress::begin((task.clock)()));
        let mut regions = vec![None];
        if let OtherRegions::AllBut(without) = &task.others {
            let mut others = with_backoff(|| store.other_regions()).await?;
            if let Some(unknown) = without.iter().find(|name| !others.contains(name)) {
                return Err(StoreError::Rejected(format!("the region {unknown} is not another active region")));
            }
            others.retain(|name| !without.contains(name));
            regions.extend(others.into_iter().map(Some));
        }
        Ok(Self { store, task, regions, returned_upto: progress.upto, progress, next_page_at: Instant::now() })
    }

    /// The regions whose subjects are scanned; `None` is this region and comes first.
    pub(crate) fn regions(&self) -> &[Option<String>] {
        &self.regions
    }

    /// The persisted progress.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Adds `n` to a counter of the progress.
    pub(crate) fn count(&mut self, counter: &str, n: usize) {
        *self.progress.counts.entry(counter.to_owned()).or_default() += n as u64;
    }

    /// Releases the lease before the end, so that the process that continues need not wait for it to expire.
    pub(crate) async fn release(&self) {
        if let Err(error) = self.store.release_task(&self.task.name).await {
            tracing::debug!(%error, "the lease of a task could not be released; it will expire");
        }
    }

    /// Saves that the page returned last is done, and returns the next page when the rate allows it; `None` at the end.
    ///
    /// # Errors
    /// The store's; `Rejected` if the lease was lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<SubjectId>>, StoreError> {
        if self.returned_upto > self.progress.upto {
            self.progress.upto = self.returned_upto;
            self.progress.updated_at = (self.task.clock)();
            with_backoff(|| self.store.save_progress(&self.task.name, &self.progress)).await?;
        }
        if self.progress.is_done() {
            with_backoff(|| self.store.release_task(&self.task.name)).await?;
            return Ok(None);
        }
        tokio::time::sleep_until(self.next_page_at).await;
        if !with_backoff(|| self.store.lease_task(&self.task.name)).await? {
            return Err(lease_held(&self.task));
        }
        let limit = self.task.rate.map_or(PAGE, Rate::page) + 1;
        let mut pages = Vec::with_capacity(self.regions.len());
        for region in &self.regions {
            let subjects = || self.store.subjects(region.as_deref(), self.progress.upto, limit);
            pages.push(with_backoff(subjects).await?);
        }
        let (subjects, upto) = union(pages);
        self.returned_upto = upto;
        if let Some(rate) = self.task.rate {
            self.next_page_at = self.next_page_at.max(Instant::now()) + rate.time_for(subjects.len());
        }
        self.count("subjects", subjects.len());
        Ok(Some(subjects))
    }
}

fn lease_held(task: &Task) -> StoreError {
    StoreError::Rejected(format!("another process of this region runs `{}`: wait until it ends", task.name))
}

/// The subjects of all pages, up to the token where every page is complete.
fn union(pages: Vec<Page>) -> (Vec<SubjectId>, i64) {
    let upto = pages.iter().map(|page| page.upto).min().unwrap_or(i64::MAX);
    let all = pages.into_iter().flat_map(|page| page.subjects);
    let within: BTreeSet<(i64, SubjectId)> = all.filter(|(token, _)| *token <= upto).collect();
    (within.into_iter().map(|(_, subject)| subject).collect(), upto)
}
