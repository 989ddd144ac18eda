//! Refold after a change of the rules: folds each subject again whose view was derived by older rules, at a set rate.
//!
//! One writer of a region at a time runs it, and only when every writer of the region has the new rules: one with older
//! rules could fold a subject that the scan has passed. Progress is saved under the rules' version, so each version is
//! refolded once.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::{Progress, StoreError, SubjectScan, VersionedView, ViewReader};

use super::full_scan::{FullScan, Rate, Task};
use crate::backoff::with_backoff;
use crate::config::RefoldConfig;
use crate::fold::Folder;

/// Time between attempts to begin or to continue.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// The task that refolds a region.
pub struct Refold<S> {
    store: Arc<S>,
    folder: Arc<Folder>,
    config: RefoldConfig,
    refolded: Counter,
    clock: fn() -> Time,
}

impl<S: SubjectScan + ViewReader + 'static> Refold<S> {
    /// Refolds by the rules of `folder`.
    pub fn new(store: Arc<S>, folder: Arc<Folder>, config: RefoldConfig, clock: fn() -> Time) -> Self {
        Self { store, folder, config, refolded: metrics::counter!("refold_subjects_total"), clock }
    }

    /// Waits until it can begin, scans all subjects and ends. Continues after an error.
    pub async fn run(self) {
        loop {
            match self.once().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the refold by the new rules was interrupted; it will continue"),
            }
            if self.folder.is_outdated() {
                return;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Refolds all subjects if every writer has the rules and no other process does it; returns whether the refold is
    /// complete, by this process or another.
    ///
    /// # Errors
    /// The store's. Progress is saved.
    pub async fn once(&self) -> Result<bool, StoreError> {
        let rules = self.folder.rules().version;
        let task = task(rules);
        if self.store.progress(&task).await?.is_some_and(|progress| progress.is_done()) {
            set_done_ratio(1.0);
            return Ok(true);
        }
        if self.store.oldest_rules().await?.is_none_or(|oldest| oldest < rules) || !self.store.lease_task(&task).await?
        {
            return Ok(false);
        }
        let task =
            Task { name: task, of_all_regions: false, rate: Some(Rate(self.config.subjects_per_s)), clock: self.clock };
        let mut scan = FullScan::begin(self.store.clone(), task, false).await?;
        let result = self.fold_older(&mut scan, rules).await;
        if result.is_err() {
            scan.release().await;
        }
        result.map(|()| true)
    }

    async fn fold_older(&self, scan: &mut FullScan, rules: u32) -> Result<(), StoreError> {
        while let Some(subjects) = scan.next().await? {
            let views = with_backoff(|| self.store.lookup_many(&subjects)).await?;
            let older: Vec<SubjectId> = subjects
                .into_iter()
                .zip(views)
                .filter(|(_, view)| needs_refold(view.as_ref(), rules))
                .map(|(subject, _)| subject)
                .collect();
            let count = older.len();
            let unreadable = with_backoff(|| self.folder.refold(&older)).await?.len();
            scan.count("folded", count - unreadable);
            scan.count("unreadable", unreadable);
            self.refolded.increment(count as u64);
            set_done_ratio(scan.progress().part());
        }
        let counts = &scan.progress().counts;
        let folded = counts.get("folded").copied().unwrap_or(0);
        tracing::info!(rules_version = rules, folded, "refold complete: every view is derived by the rules in force");
        set_done_ratio(1.0);
        Ok(())
    }
}

/// Saves that the refold to these rules is complete: a rebuild has just derived every view by them.
pub(super) async fn save_complete(store: &dyn SubjectScan, rules: u32, now: Time) -> Result<(), StoreError> {
    let done = Progress { upto: i64::MAX, ..Progress::begin(now) };
    let task = task(rules);
    with_backoff(|| store.save_progress(&task, &done)).await
}

/// Name of the task in the table of progress.
fn task(rules: u32) -> String {
    format!("refold/{rules}")
}

/// Whether a view has to be derived again: other rules, unreadable, or missing although the subject has events.
fn needs_refold(view: Option<&VersionedView>, rules: u32) -> bool {
    view.and_then(|view| View::decode(&view.view).ok()).is_none_or(|view| view.rules_version != rules)
}

fn set_done_ratio(part: f64) {
    metrics::gauge!("refold_done_ratio").set(part);
}
