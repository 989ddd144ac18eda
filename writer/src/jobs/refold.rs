//! Refold after a change of the rules or of the program: folds each subject again whose view was derived by other rules
//! or an older program, at a set rate.
//!
//! One writer of a region at a time runs it, and only when every writer of the region has the new rules: one with older
//! rules could fold a subject that the scan has passed. Progress is saved under both versions, so each pair of them is
//! refolded once.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use yima_schema::derive::DERIVE_VERSION;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::{Progress, StoreError, SubjectScan, VersionedView, ViewReader};

use super::full_scan::{FullScan, OtherRegions, Rate, Task};
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
                Err(error) => tracing::warn!(%error, "the refold was interrupted; it will continue"),
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
        let task = Task {
            name: task,
            others: OtherRegions::None,
            rate: Some(Rate(self.config.subjects_per_s)),
            clock: self.clock,
        };
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
        tracing::info!(
            rules_version = rules,
            folded,
            "refold complete: every view is derived by the rules in force and this program"
        );
        set_done_ratio(1.0);
        Ok(())
    }
}

/// Saves that the refold to these rules is complete: a rebuild or an import has just derived every view by them.
///
/// # Errors
/// The store's.
pub async fn save_complete(store: &dyn SubjectScan, rules: u32, now: Time) -> Result<(), StoreError> {
    let done = Progress { upto: i64::MAX, ..Progress::begin(now) };
    let task = task(rules);
    with_backoff(|| store.save_progress(&task, &done)).await
}

/// Name of the task in the table of progress.
fn task(rules: u32) -> String {
    format!("refold/{rules}/{DERIVE_VERSION}")
}

/// Whether a view has to be derived again: other rules, an older program, unreadable, or missing although the subject
/// has events. A newer program's view is left to that program.
fn needs_refold(view: Option<&VersionedView>, rules: u32) -> bool {
    view.is_none_or(|view| match View::decode(&view.view) {
        Ok(view) => {
            view.derive_version <= DERIVE_VERSION
                && (view.rules_version != rules || view.derive_version < DERIVE_VERSION)
        }
        Err(_) => !View::is_newer(&view.view),
    })
}

fn set_done_ratio(part: f64) {
    metrics::gauge!("refold_done_ratio").set(part);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
    use yima_schema::rules::Rules;
    use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
    use yima_store::{ViewWrite, WriterStore};

    use super::*;

    /// More than a page.
    const SUBJECTS: u16 = 1_100;

    fn subject(n: u16) -> SubjectId {
        // Scattered, and some with one token.
        let [high, low] = n.to_be_bytes();
        SubjectId::from_bytes([low, high / 2, 0, 0, 0, 0, 0, 0, low, high, 0, 0, 0, 0, 0, 0])
    }

    fn event(n: u16) -> StoredEvent {
        let data = EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative };
        let event = Event {
            subject: subject(n),
            agency: "lab-7".into(),
            id: "t-1".into(),
            revision: 0,
            document: "E******78".into(),
            occurred_at: Time::from_secs(1_790_000_000),
            data,
        };
        StoredEvent::new(event, Time::default())
    }

    async fn make_older(store: &EmbeddedStore, n: u16) {
        let found = store.lookup(subject(n)).await.unwrap().unwrap();
        let view = View::decode(&found.view).unwrap().encode_format_1().into();
        let next = found.version.next(store.epoch());
        let expected = found.version;
        let write = ViewWrite { subject: subject(n), expected, next, view, denials: Vec::new() };
        store.compare_and_set(vec![write]).await.unwrap();
    }

    async fn older(store: &EmbeddedStore) -> usize {
        let subjects: Vec<_> = (0..SUBJECTS).map(subject).collect();
        let views = store.lookup_many(&subjects).await.unwrap();
        views.into_iter().filter(|view| View::decode(&view.as_ref().unwrap().view).unwrap().derive_version == 0).count()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_embedded_store_derives_the_views_of_an_older_program_again_once() {
        let dir = tempfile::tempdir().unwrap();
        let open = || EmbeddedStore::open(dir.path(), EmbeddedOptions::new("test", [0; 16])).unwrap();
        let refold = async |store: &Arc<EmbeddedStore>| {
            let folder = Arc::new(
                Folder::start(store.clone(), Arc::new(Rules::built_in()), crate::fold::tests::token_keys())
                    .await
                    .unwrap(),
            );
            let config = RefoldConfig { subjects_per_s: NonZeroU32::new(1_000_000).unwrap() };
            (folder.clone(), Refold::new(store.clone(), folder, config, Time::default))
        };
        let store = open();
        let (folder, job) = refold(&store).await;
        folder.commit((0..SUBJECTS).map(event).collect()).await.unwrap();
        for n in 0..SUBJECTS {
            make_older(&store, n).await;
        }
        assert_eq!(older(&store).await, usize::from(SUBJECTS));
        assert!(job.once().await.unwrap());
        assert_eq!(older(&store).await, 0);
        let task = task(Rules::built_in().version);
        let progress = store.progress(&task).await.unwrap().unwrap();
        assert_eq!((progress.counts["subjects"], progress.counts["folded"]), (SUBJECTS.into(), SUBJECTS.into()));
        folder.close().await.unwrap();
        store.close().await;
        drop((folder, job, store));

        let store = open();
        assert_eq!(store.progress(&task).await.unwrap().as_ref(), Some(&progress));
        make_older(&store, 0).await;
        let (_folder, job) = refold(&store).await;
        assert!(job.once().await.unwrap());
        assert_eq!(older(&store).await, 1, "a refold that is complete does not run again");
        store.forget_progress(&task).await.unwrap();
        assert!(job.once().await.unwrap());
        assert_eq!(older(&store).await, 0);
    }
}
