//! After a change of the rules: folds everyone again whose view was made by older ones, at a set rate.
//!
//! One writer of a region at a time does it, and only when every writer that could fold somebody behind it has the new rules. It is remembered
//! by the rules' version, so it is done once for each.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::{Progress, StoreError, SubjectScan, VersionedView, ViewReader};

use crate::config::RefoldConfig;
use crate::fold::Folder;
use crate::full_scan::{FullScan, Rate, Task, with_backoff};

/// How often it is looked whether it can begin, or go on.
const EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub struct Refold<S> {
    store: Arc<S>,
    folder: Arc<Folder>,
    config: RefoldConfig,
    refolded: Counter,
    clock: fn() -> Time,
}

impl<S: SubjectScan + ViewReader + 'static> Refold<S> {
    /// For a folder, by its rules.
    pub fn new(store: Arc<S>, folder: Arc<Folder>, config: RefoldConfig, clock: fn() -> Time) -> Self {
        Self { store, folder, config, refolded: metrics::counter!("refold_subjects_total"), clock }
    }

    /// Waits until it can begin, goes over everyone, and ends; goes on after what fails.
    pub async fn run(self) {
        loop {
            match self.once().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(fault) => tracing::warn!(%fault, "people cannot be folded by the new rules now; tried again"),
            }
            if self.folder.is_outdated() {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Goes over everyone if it is time; whether that is done, by this process or another.
    ///
    /// # Errors
    /// The store's. What was done is remembered.
    pub async fn once(&self) -> Result<bool, StoreError> {
        let rules = self.folder.rules().version;
        let task = task(rules);
        if self.store.progress(&task).await?.is_some_and(|progress| progress.is_done()) {
            report(1.0);
            return Ok(true);
        }
        if self.store.oldest_rules().await?.is_none_or(|oldest| oldest < rules) || !self.store.lease_task(&task).await?
        {
            return Ok(false);
        }
        let task =
            Task { name: task, of_all_regions: false, rate: Some(Rate(self.config.subjects_per_s)), clock: self.clock };
        let mut scan = FullScan::begin(self.store.clone(), task, false).await?;
        let done = self.fold_older(&mut scan, rules).await;
        if done.is_err() {
            scan.leave().await;
        }
        done.map(|()| true)
    }

    async fn fold_older(&self, scan: &mut FullScan, rules: u32) -> Result<(), StoreError> {
        while let Some(subjects) = scan.next().await? {
            let views = with_backoff(|| self.store.lookup_many(&subjects)).await?;
            let older: Vec<SubjectId> = subjects
                .into_iter()
                .zip(views)
                .filter(|(_, view)| is_older(view.as_ref(), rules))
                .map(|(subject, _)| subject)
                .collect();
            let count = older.len();
            let unreadable = with_backoff(|| self.folder.refold(&older)).await?.len();
            scan.count("folded", count - unreadable);
            scan.count("unreadable", unreadable);
            self.refolded.increment(count as u64);
            report(scan.progress().part());
        }
        let counts = &scan.progress().counts;
        let folded = counts.get("folded").copied().unwrap_or(0);
        tracing::info!(rules_version = rules, folded, "everyone's view is made by the rules in force");
        report(1.0);
        Ok(())
    }
}

/// Notes that nobody has a view by other rules: all were just made.
pub(crate) async fn note_done(store: &dyn SubjectScan, rules: u32, now: Time) -> Result<(), StoreError> {
    let done = Progress { upto: i64::MAX, ..Progress::begin(now) };
    let task = task(rules);
    with_backoff(|| store.save_progress(&task, &done)).await
}

fn task(rules: u32) -> String {
    format!("refold/{rules}")
}

/// Whether a view has to be made again: by other rules, unreadable, or not there though there are events.
fn is_older(view: Option<&VersionedView>, rules: u32) -> bool {
    view.and_then(|view| View::decode(&view.view).ok()).is_none_or(|view| view.rules_version != rules)
}

fn report(part: f64) {
    metrics::gauge!("refold_done_ratio").set(part);
}
