//! `yima rebuild`: derives a region's views again from events alone, whether its keyspace exists or not.

use std::sync::Arc;

use yima_schema::code::TokenKeys;
use yima_schema::rules::Rules;
use yima_store::cql::{CqlOptions, begin_rebuild};
use yima_store::{Progress, StoreError, SubjectScan};

use super::full_scan::{FullScan, OtherRegions, Rate, Task};
use super::refold;
use crate::backoff::with_backoff;
use crate::fold::Folder;

/// Progress of a rebuild.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Report {
    /// Subjects folded and published.
    pub subjects: u64,
    /// Subjects whose events cannot be read: they have no view.
    pub unreadable: u64,
    /// Part of all subjects that is done, from 0 to 1.
    pub part: f64,
}

impl Report {
    fn of(progress: &Progress) -> Self {
        let count = |what: &str| progress.counts.get(what).copied().unwrap_or(0);
        Self { subjects: count("subjects"), unreadable: count("unreadable"), part: progress.part() }
    }
}

/// Drops the region's keyspace, creates it again, and folds and publishes all subjects; continues a rebuild that was
/// interrupted. Until it is done, the region's read nodes serve the views that they have. Calls `on_progress` after
/// each page.
///
/// # Errors
/// The store's: progress is saved, and the next run continues from there. `Rejected`, with what to do, also if a writer
/// of the region is running.
pub async fn rebuild(
    options: &CqlOptions,
    rules: Arc<Rules>,
    tokens: Arc<TokenKeys>,
    rate: Option<Rate>,
    on_progress: impl Fn(&Report) + Send + Sync,
) -> Result<Report, StoreError> {
    let store = begin_rebuild(options, (options.clock)()).await?;
    let folder = Folder::start(store.clone(), rules.clone(), tokens).await?;
    let task = Task { name: store.rebuild_task(), others: OtherRegions::None, rate, clock: options.clock };
    let folded = fold_all(store.clone(), &folder, task, &on_progress).await;
    let report = match folded {
        Ok(report) => report,
        Err(error) => {
            // With an open stream the next run would wait until this process is taken for dead.
            folder.close().await?;
            return Err(error);
        }
    };
    refold::save_complete(&*store, rules.version, (options.clock)()).await?;
    folder.close().await?;
    store.finish_rebuild().await?;
    Ok(report)
}

async fn fold_all(
    store: Arc<dyn SubjectScan>,
    folder: &Folder,
    task: Task,
    on_progress: &(impl Fn(&Report) + Send + Sync),
) -> Result<Report, StoreError> {
    if let Some(done) = store.progress(&task.name).await?.filter(Progress::is_done) {
        return Ok(Report::of(&done)); // only the end of the rebuild was not saved
    }
    let mut scan = FullScan::begin(store, task, false).await?;
    let folded = async {
        while let Some(subjects) = scan.next().await? {
            let unreadable = with_backoff(|| folder.refold(&subjects)).await?.len();
            scan.count("unreadable", unreadable);
            on_progress(&Report::of(scan.progress()));
        }
        Ok(())
    };
    let folded: Result<(), StoreError> = folded.await;
    if folded.is_err() {
        scan.release().await;
    }
    let report = Report::of(scan.progress());
    on_progress(&report);
    folded.map(|()| report)
}
