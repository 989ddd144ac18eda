//! `yima rebuild`: makes a region's views again from events alone, whether its keyspace is there or not.

use std::sync::Arc;

use yima_schema::rules::Rules;
use yima_store::cql::{CqlOptions, begin_rebuild};
use yima_store::{Progress, StoreError, SubjectScan};

use crate::fold::Folder;
use crate::full_scan::{FullScan, Rate, Task, with_backoff};
use crate::refold;

/// What was done so far.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Report {
    /// Subjects folded and published.
    pub subjects: u64,
    /// Subjects whose events cannot be read: they have no view.
    pub unreadable: u64,
    /// How far it has come, from 0 to 1.
    pub part: f64,
}

impl Report {
    fn of(progress: &Progress) -> Self {
        let count = |what: &str| progress.counts.get(what).copied().unwrap_or(0);
        Self { subjects: count("subjects"), unreadable: count("unreadable"), part: progress.part() }
    }
}

/// Drops what there is of the region's keyspace, makes it again, and folds and publishes everyone; goes on with one that was interrupted.
/// Until it is done, readers of the region go on with what they have. Tells how far it is after each page.
///
/// # Errors
/// The store's: what was done is remembered, and the next run goes on from there. `Rejected`, with what to do, also if a writer of the
/// region is running.
pub async fn rebuild(
    options: &CqlOptions,
    rules: Arc<Rules>,
    rate: Option<Rate>,
    on_progress: impl Fn(&Report) + Send + Sync,
) -> Result<Report, StoreError> {
    let store = begin_rebuild(options, (options.clock)()).await?;
    let folder = Folder::start(store.clone(), rules.clone()).await?;
    let task = Task { name: store.rebuild_task(), of_all_regions: false, rate, clock: options.clock };
    let folded = fold_everyone(store.clone(), &folder, task, &on_progress).await;
    let report = match folded {
        Ok(report) => report,
        Err(fault) => {
            // Else the next run would wait until it is clear that this one is gone.
            folder.close().await?;
            return Err(fault);
        }
    };
    refold::note_done(&*store, rules.version, (options.clock)()).await?;
    folder.close().await?;
    store.finish_rebuild().await?;
    Ok(report)
}

async fn fold_everyone(
    store: Arc<dyn SubjectScan>,
    folder: &Folder,
    task: Task,
    on_progress: &(impl Fn(&Report) + Send + Sync),
) -> Result<Report, StoreError> {
    if let Some(done) = store.progress(&task.name).await?.filter(Progress::is_done) {
        return Ok(Report::of(&done)); // only the last word was missing
    }
    let mut scan = FullScan::begin(store, task, false).await?;
    let done = async {
        while let Some(subjects) = scan.next().await? {
            let unreadable = with_backoff(|| folder.refold(&subjects)).await?.len();
            scan.count("unreadable", unreadable);
            on_progress(&Report::of(scan.progress()));
        }
        Ok(())
    };
    let done: Result<(), StoreError> = done.await;
    if done.is_err() {
        scan.leave().await;
    }
    let report = Report::of(scan.progress());
    on_progress(&report);
    done.map(|()| report)
}
