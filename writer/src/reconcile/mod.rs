//! Brings what drifted apart together again: events that one region has and another lacks, and views that are not the fold of their events.
//!
//! Nothing of this happens while marks are followed in time. It is for what the database lost or never sent: hints that expired before a
//! region came back, marks that expired, a restored node. Differences are looked at twice, because what is on its way differs too.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{Copied, EventReader, StoreError, SubjectScan, WriterStore};

use crate::fold::Folder;
use crate::full_scan::{FullScan, Rate, Task, with_backoff};
use compare::{Found, compare};

/// How a reconciliation is done.
#[derive(Clone, Copy)]
pub struct Options {
    /// Only counts; nothing is changed but the row of its progress.
    pub report: bool,
    /// Subjects per second; as fast as it goes without.
    pub rate: Option<Rate>,
    /// From the beginning, also if an earlier one was interrupted.
    pub restart: bool,
    /// How long something may be on its way: what differs is looked at again after this.
    pub settle: Duration,
    /// The present moment.
    pub clock: fn() -> Time,
}

/// What was found, and mended unless it only reports.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Report {
    /// Subjects looked at.
    pub subjects: u64,
    /// Views that were not the fold of this region's events by these rules.
    pub behind: u64,
    /// Events that another region had and this one lacked.
    pub fetched: u64,
    /// Events that a region lacked and this one had, once for each such region.
    pub sent: u64,
    /// Subjects whose events, or some of them, cannot be read.
    pub unreadable: u64,
    /// How far it has come, from 0 to 1.
    pub part: f64,
}

impl Report {
    /// Whether there was nothing to mend.
    pub fn is_clean(&self) -> bool {
        self.behind + self.fetched + self.sent + self.unreadable == 0
    }

    fn of(scan: &FullScan) -> Self {
        let progress = scan.progress();
        let count = |what: &str| progress.counts.get(what).copied().unwrap_or(0);
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

/// Goes over everyone whom any region has. Tells how far it is after each page; the last report is returned.
///
/// # Errors
/// The store's, this region's or another's: what was done is remembered, and the next run goes on from there. `Rejected` if other
/// rules are in force, or another process is at it.
pub async fn reconcile<S: SubjectScan + WriterStore + 'static>(
    store: &Arc<S>,
    rules: Arc<Rules>,
    options: Options,
    on_progress: impl Fn(&Report) + Send + Sync,
) -> Result<Report, StoreError> {
    let active = store.active_rules().await?;
    if active != 0 && active != rules.version {
        return Err(StoreError::Rejected(format!(
            "rules of version {active} are in force in this region and this program has version {}: give it the same document (rules.file)",
            rules.version
        )));
    }
    let name = if options.report { "reconcile --report" } else { "reconcile" };
    let task = Task { name: name.into(), of_all_regions: true, rate: options.rate, clock: options.clock };
    let everyone: Arc<dyn SubjectScan> = store.clone();
    let scan = FullScan::begin(everyone, task, options.restart).await?;
    let writer: Arc<dyn WriterStore> = store.clone();
    let folder = if options.report { None } else { Some(Folder::start(writer, rules.clone()).await?) };
    let mut run = Run { store: &**store, folder: folder.as_ref(), rules: &rules, settle: options.settle, scan };
    let done = run.all(&on_progress).await;
    if done.is_err() {
        run.scan.leave().await;
    }
    let closed = match &folder {
        Some(folder) => folder.close().await,
        None => Ok(()),
    };
    done.and(closed)?;
    if !options.report {
        let since = run.scan.progress().started_at;
        with_backoff(|| store.reconciled(since)).await?;
    }
    Ok(Report::of(&run.scan))
}

struct Run<'a, S> {
    store: &'a S,
    /// `None`: nothing is to be changed.
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
        let suspects: Vec<SubjectId> = self
            .look(&subjects)
            .await?
            .into_iter()
            .filter(|found| !found.is_clean())
            .map(|found| found.subject)
            .collect();
        if suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(self.settle).await;
        let found: Vec<Found> = self.look(&suspects).await?.into_iter().filter(|found| !found.is_clean()).collect();
        self.scan.count("behind", found.iter().filter(|found| found.behind).count());
        match self.folder {
            None => {
                let missing: usize = found.iter().map(|found| found.missing_here().len()).sum();
                self.scan.count("fetched", missing);
                self.scan.count("sent", found.iter().map(Found::missing_elsewhere).sum());
                Ok(())
            }
            Some(folder) => self.mend(folder, &found).await,
        }
    }

    /// What every region has of some subjects, and their views.
    async fn look(&self, subjects: &[SubjectId]) -> Result<Vec<Found>, StoreError> {
        let mut names = Vec::new();
        for region in self.scan.regions() {
            names.push(with_backoff(|| self.store.event_names(region.as_deref(), subjects)).await?);
        }
        let views = with_backoff(|| self.store.lookup_many(subjects)).await?;
        Ok(compare(subjects, names, views, self.rules.version))
    }

    /// Fetches, folds, marks and sends, in this order, so that whoever is interrupted finds again what is left to do.
    async fn mend(&mut self, folder: &Folder, found: &[Found]) -> Result<(), StoreError> {
        let regions = self.scan.regions().to_vec();
        for (region, at) in regions.iter().zip(0..).skip(1) {
            let missing: Vec<EventName> = found.iter().flat_map(|found| found.fetch_from(at)).collect();
            self.copy(region.as_deref(), None, &missing, "fetched").await?;
        }
        let to_fold: Vec<SubjectId> = found.iter().filter(|found| found.folds()).map(|found| found.subject).collect();
        self.fold(folder, to_fold).await?;
        for (region, at) in regions.iter().zip(0..).skip(1) {
            let missing: BTreeMap<SubjectId, Vec<EventName>> = found
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
        what: &str,
    ) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let copied = with_backoff(|| self.store.copy(from, to, names)).await?;
        let count = |outcome| copied.iter().filter(|copied| **copied == outcome).count();
        self.scan.count(what, count(Copied::Done));
        self.scan.count("unreadable", count(Copied::Unreadable));
        Ok(())
    }

    /// Marks events that are here, so that whoever follows this region's marks folds them.
    async fn mark(&self, folder: &Folder, missing: &BTreeMap<SubjectId, Vec<EventName>>) -> Result<(), StoreError> {
        for (subject, names) in missing {
            let read = with_backoff(|| EventReader::events(self.store, std::slice::from_ref(subject))).await;
            let events = match read {
                Ok(events) => events.into_iter().flatten(),
                // Counted when it is folded, or copied.
                Err(StoreError::Corrupt { .. }) => continue,
                Err(fault @ (StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Rejected(_))) => {
                    return Err(fault);
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
