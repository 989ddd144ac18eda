//! `yima reconcile`: repairs differences: events that one region has and another lacks, and views that are not the fold
//! of their events.
//!
//! While marks are followed in time there are none. It repairs what the database lost or never sent: hints that expired
//! before a region came back, marks that expired, a restored node. Differences are read twice, because events that are
//! still on their way differ too.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yima_schema::code::TokenKeys;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{Copied, EventReader, StoreError, SubjectScan, WriterStore};

use super::full_scan::{FullScan, OtherRegions, Rate, Task};
use crate::backoff::with_backoff;
use crate::fold::Folder;
use compare::{Comparison, compare};

/// Options of a reconciliation.
#[derive(Clone)]
pub struct Options {
    /// Only counts; changes nothing but the row of its progress.
    pub report: bool,
    /// Subjects per second; `None`: as fast as the store answers.
    pub rate: Option<Rate>,
    /// Regions to leave out, because they are down.
    pub without: Vec<String>,
    /// Begins at the first subject, also if an earlier run was interrupted.
    pub restart: bool,
    /// Time that an event may take between regions: differences are read again after it.
    pub settle: Duration,
    /// The current time.
    pub clock: fn() -> Time,
}

/// Differences found; they are repaired unless [`Options::report`] is set.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Report {
    /// Subjects compared.
    pub subjects: u64,
    /// Views that were not the fold of this region's events by these rules.
    pub behind: u64,
    /// Events that another region had and this one lacked.
    pub fetched: u64,
    /// Events that a region lacked and this one had, once for each such region.
    pub sent: u64,
    /// Subjects whose events, or some of them, cannot be read.
    pub unreadable: u64,
    /// Part of all subjects that is done, from 0 to 1.
    pub part: f64,
}

impl Report {
    /// Whether no difference was found.
    pub fn is_clean(&self) -> bool {
        self.behind + self.fetched + self.sent + self.unreadable == 0
    }

    fn of(scan: &FullScan) -> Self {
        let progress = scan.progress();
        let count = |counter: &str| progress.counts.get(counter).copied().unwrap_or(0);
        Self {
            subjects: count("subjects"),
            behind: count("behind"),
            fetched: count("fetched"),
            sent: count("sent"),
            unreadable: count("unreadable"),
            part: progress.part(),
        }
    }
}

/// Scans the subjects of all regions that are not retired or left out. Calls `on_progress` after each page and returns the last report.
///
/// # Errors
/// The store's, of this region or another: progress is saved, and the next run continues from there. `Rejected` if
/// other rules are in force, or another process holds the lease.
pub async fn reconcile<S: SubjectScan + WriterStore + 'static>(
    store: &Arc<S>,
    rules: Arc<Rules>,
    tokens: Arc<TokenKeys>,
    options: Options,
    on_progress: impl Fn(&Report) + Send + Sync,
) -> Result<Report, StoreError> {
    let active = store.active_rules().await?;
    if active != 0 && active != rules.version {
        return Err(StoreError::Rejected(format!(
            "rules of version {active} are in force in this region and this program has version {}: \
             give it the same document (rules.file)",
            rules.version
        )));
    }
    let name = if options.report { "reconcile --report" } else { "reconcile" };
    // A run with fewer regions must not go on where one with more was interrupted, nor the other way round.
    let name = options.without.iter().fold(name.to_owned(), |name, region| name + " --without " + region);
    let others = OtherRegions::AllBut(options.without);
    let task = Task { name, others, rate: options.rate, clock: options.clock };
    let subjects: Arc<dyn SubjectScan> = store.clone();
    let scan = FullScan::begin(subjects, task, options.restart).await?;
    let writer: Arc<dyn WriterStore> = store.clone();
    let folder = if options.report { None } else { Some(Folder::start(writer, rules.clone(), tokens).await?) };
    let mut run = Run { store: &**store, folder: folder.as_ref(), rules: &rules, settle: options.settle, scan };
    let result = run.all(&on_progress).await;
    if result.is_err() {
        run.scan.release().await;
    }
    let closed = match &folder {
        Some(folder) => folder.close().await,
        None => Ok(()),
    };
    result.and(closed)?;
    if !options.report {
        let since = run.scan.progress().started_at;
        let compared: Vec<String> = run.scan.regions().iter().flatten().cloned().collect();
        with_backoff(|| store.reconciled(&compared, since)).await?;
    }
    Ok(Report::of(&run.scan))
}

struct Run<'a, S> {
    store: &'a S,
    /// `None`: differences are counted and not repaired.
    folder: Option<&'a Folder>,
    rules: &'a Rules,
    settle: Duration,
    scan: FullScan,
}

impl<S: SubjectScan + WriterStore> Run<'_, S> {
    async fn all(&mut self, on_progress: &(impl Fn(&Report) + Send + Sync)) -> Result<(), StoreError> {
        while let Some(subjects) = self.scan.next().await? {
            self.page(subjects).await?;
            on_progress(&Report::of(&self.scan));
        }
        on_progress(&Report::of(&self.scan));
        Ok(())
    }

    async fn page(&mut self, subjects: Vec<SubjectId>) -> Result<(), StoreError> {
        let suspects: Vec<SubjectId> = self.differences(&subjects).await?.iter().map(|found| found.subject).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(self.settle).await;
        let different = self.differences(&suspects).await?;
        self.scan.count("behind", different.iter().filter(|found| found.behind).count());
        match self.folder {
            None => {
                let missing: usize = different.iter().map(|found| found.missing_here().len()).sum();
                self.scan.count("fetched", missing);
                self.scan.count("sent", different.iter().map(Comparison::missing_elsewhere).sum());
                Ok(())
            }
            Some(folder) => self.repair(folder, &different).await,
        }
    }

    /// Reads the events of each region and the views, and returns the subjects that differ.
    async fn differences(&self, subjects: &[SubjectId]) -> Result<Vec<Comparison>, StoreError> {
        let mut names = Vec::new();
        for region in self.scan.regions() {
            names.push(with_backoff(|| self.store.event_names(region.as_deref(), subjects)).await?);
        }
        let views = with_backoff(|| self.store.lookup_many(subjects)).await?;
        let mut compared = compare(subjects, names, views, self.rules.version);
        compared.retain(|comparison| !comparison.is_clean());
        Ok(compared)
    }

    /// Fetches, folds, marks and sends, in this order, so that the run after an interruption finds again what was not
    /// repaired.
    async fn repair(&mut self, folder: &Folder, different: &[Comparison]) -> Result<(), StoreError> {
        let regions = self.scan.regions().to_vec();
        for (region, at) in regions.iter().zip(0..).skip(1) {
            let missing: Vec<EventName> = different.iter().flat_map(|found| found.fetch_from(at)).collect();
            self.copy(region.as_deref(), None, &missing, "fetched").await?;
        }
        let to_fold: Vec<SubjectId> =
            different.iter().filter(|found| found.needs_fold()).map(|found| found.subject).collect();
        self.fold(folder, to_fold).await?;
        for (region, at) in regions.iter().zip(0..).skip(1) {
            let missing: BTreeMap<SubjectId, Vec<EventName>> = different
                .iter()
                .map(|found| (found.subject, found.send_to(at)))
                .filter(|(_, names)| !names.is_empty())
                .collect();
            self.mark(folder, &missing).await?;
            let names: Vec<EventName> = missing.into_values().flatten().collect();
            self.copy(None, region.as_deref(), &names, "sent").await?;
        }
        Ok(())
    }

    async fn copy(
        &mut self,
        from: Option<&str>,
        to: Option<&str>,
        names: &[EventName],
        counter: &str,
    ) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let copied = with_backoff(|| self.store.copy(from, to, names)).await?;
        let count = |outcome| copied.iter().filter(|copied| **copied == outcome).count();
        self.scan.count(counter, count(Copied::Done));
        self.scan.count("unreadable", count(Copied::Unreadable));
        Ok(())
    }

    /// Commits events of this region again, which marks them: the followers of this region's marks fold them.
    async fn mark(&self, folder: &Folder, missing: &BTreeMap<SubjectId, Vec<EventName>>) -> Result<(), StoreError> {
        for (subject, names) in missing {
            let read = with_backoff(|| EventReader::events(self.store, std::slice::from_ref(subject))).await;
            let events = match read {
                Ok(events) => events.into_iter().flatten(),
                // Counted when it is folded, or copied.
                Err(StoreError::Corrupt { .. }) => continue,
                Err(error @ (StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Rejected(_))) => {
                    return Err(error);
                }
            };
            let again: Vec<StoredEvent> = events.filter(|event| names.contains(&EventName::of(event))).collect();
            if !again.is_empty() {
                folder.commit(again).await?;
            }
        }
        Ok(())
    }

    async fn fold(&mut self, folder: &Folder, subjects: Vec<SubjectId>) -> Result<(), StoreError> {
        let unreadable = with_backoff(|| folder.refold(&subjects)).await?.len();
        self.scan.count("unreadable", unreadable);
        Ok(())
    }
}
