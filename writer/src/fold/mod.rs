//! From events to acknowledged views: append, look up the version, *then* read the events, derive, compare and set, publish.
//!
//! The order is what makes an acknowledgement true. The version is read before the events, so a set that succeeds was made from at
//! least the events that any earlier version was made from; whoever loses the race starts again at the version.

mod commit;
#[cfg(test)]
pub(crate) mod damaged;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_service::telemetry::span_ref;
use yima_store::{CompareAndSet, Mark, Published, StoreError, StreamId, ViewWrite, WriterStore, failpoint, span};

pub use commit::Outcome;
use plan::{Plan, outdated, plan};

/// Subjects folded in one step: all of their events are in memory together.
const FOLD_BATCH: usize = 500;

/// Folds events into views and publishes them in this process's stream.
pub struct Folder {
    store: Arc<dyn WriterStore>,
    rules: Arc<Rules>,
    stream: Mutex<StreamId>,
    /// Newer rules than ours are in force: nothing may be acknowledged.
    outdated: AtomicBool,
}

impl Folder {
    /// Makes its rules the region's if they are newer, opens a stream, then folds and publishes what writers before this one left unfinished.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn start(store: Arc<dyn WriterStore>, rules: Arc<Rules>) -> Result<Self, StoreError> {
        let active = store.raise_rules(rules.version).await?;
        if active > rules.version {
            return Err(outdated(active, rules.version));
        }
        let stream = Mutex::new(store.open_stream().await?);
        let folder = Self { store, rules, stream, outdated: AtomicBool::new(false) };
        // Once more: whoever raises the rules looks for open streams afterwards, so either it saw ours or we see its rules.
        if let Err(refused) = folder.check_rules().await {
            folder.close().await?;
            return Err(refused);
        }
        let unsettled = folder.store.unsettled().await?;
        for batch in unsettled.chunks(FOLD_BATCH) {
            let (marks, subjects): (Vec<_>, Vec<_>) = batch.iter().copied().unzip();
            folder.fold_readable(&subjects, &marks).await?;
        }
        if !unsettled.is_empty() {
            tracing::info!(events = unsettled.len(), "finished folds that an earlier process had begun");
        }
        Ok(folder)
    }

    /// Reads which rules are in force; once newer ones are, this folder takes nothing more.
    ///
    /// # Errors
    /// The store's; `Rejected` if they are newer than ours.
    pub async fn check_rules(&self) -> Result<(), StoreError> {
        let active = self.store.active_rules().await?;
        if active > self.rules.version {
            self.outdated.store(true, Ordering::Release);
            return Err(outdated(active, self.rules.version));
        }
        Ok(())
    }

    /// Whether newer rules than this folder's were seen in force: its process has to stop.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }

    /// The rules that it folds by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Folds and publishes subjects whose events are there already; returns those whose data cannot be read.
    ///
    /// # Errors
    /// The store's; some may be folded.
    pub async fn refold(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>, StoreError> {
        self.fold_readable(subjects, &[]).await
    }

    /// Folds and publishes subjects together. If the data of one cannot be read, each by itself: that one is returned and keeps its mark, and
    /// everybody else is served. `marks`: that of each subject, or none.
    async fn fold_readable(&self, subjects: &[SubjectId], marks: &[Mark]) -> Result<Vec<SubjectId>, StoreError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        match self.fold_and_publish(subjects.to_vec(), marks.to_vec()).await {
            Err(StoreError::Corrupt { .. }) => {}
            folded => return folded.map(|()| Vec::new()),
        }
        let mut unreadable = Vec::new();
        for (n, subject) in subjects.iter().enumerate() {
            match self.fold_and_publish(vec![*subject], marks.get(n).copied().into_iter().collect()).await {
                Err(fault @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%fault, "a subject cannot be folded");
                    unreadable.push(*subject);
                }
                folded => folded?,
            }
        }
        Ok(unreadable)
    }

    async fn fold_and_publish(&self, mut subjects: Vec<SubjectId>, marks: Vec<Mark>) -> Result<(), StoreError> {
        failpoint::pass("appended")?;
        subjects.sort_unstable();
        subjects.dedup();
        let mut changes = Vec::with_capacity(subjects.len());
        for batch in subjects.chunks(FOLD_BATCH) {
            changes.extend(self.fold(batch.to_vec()).await?);
        }
        loop {
            let stream = *self.stream.lock();
            let span = span!(
                "publish changes",
                otel.kind = "producer",
                messaging.system = "yima",
                messaging.operation.name = "publish",
                messaging.operation.type = "send",
                messaging.destination.name = "changes",
                messaging.batch.message_count = changes.len(),
            );
            let traced = span_ref(&span);
            let changes = changes.iter().map(|change| Change { traced, ..change.clone() }).collect();
            match self.store.publish(stream, changes, marks.clone()).instrument(span).await? {
                Published::Open => return Ok(()),
                Published::Closed => self.replace_stream(stream).await?,
            }
        }
    }

    /// Someone closed our stream, taking us for dead: what was published there is not acknowledged, but published again in a new one.
    async fn replace_stream(&self, closed: StreamId) -> Result<(), StoreError> {
        let opened = self.store.open_stream().await?;
        self.check_rules().await?;
        let replaced = {
            let mut stream = self.stream.lock();
            let ours = *stream == closed;
            if ours {
                *stream = opened;
            }
            ours
        };
        // Another fold may have been faster.
        if replaced { Ok(()) } else { self.store.close_stream(opened).await }
    }

    /// Brings each subject's view up to its events; returns the newest state of every one, also where nothing was new.
    async fn fold(&self, mut subjects: Vec<SubjectId>) -> Result<Vec<Change>, StoreError> {
        let mut done = Vec::with_capacity(subjects.len());
        while !subjects.is_empty() {
            let (span, count) = (span!("lookup_versions", subjects = subjects.len()), subjects.len());
            let current = self.store.lookup_many(&subjects).instrument(span).await?;
            failpoint::pass("version_read")?;
            let events = self.store.events(&subjects).instrument(span!("read_events", subjects = count)).await?;
            failpoint::pass("events_read")?;
            let (rules, epoch) = (self.rules.clone(), self.store.epoch());
            // A thousand subjects take some ten milliseconds: too long for a thread that others wait for.
            let derived = tokio::task::spawn_blocking(move || plan(&subjects, current, &events, &rules, epoch));
            let planned =
                derived.instrument(span!("derive", subjects = count)).await.map_err(|_| StoreError::TimedOut)?;
            let Plan { unchanged, changed } = planned.inspect_err(|_| self.outdated.store(true, Ordering::Release))?;
            done.extend(unchanged);
            let writes = changed.iter().map(|(expected, change)| ViewWrite {
                subject: change.subject,
                expected: *expected,
                next: change.version,
                view: change.view.clone(),
            });
            failpoint::pass("derived")?;
            let span = span!("compare_and_set", views = changed.len());
            let outcomes = self.store.compare_and_set(writes.collect()).instrument(span).await?;
            failpoint::pass("views_set")?;
            subjects = Vec::new();
            for ((_, change), outcome) in changed.into_iter().zip(outcomes) {
                match outcome {
                    CompareAndSet::Set => done.push(change),
                    CompareAndSet::Lost => subjects.push(change.subject),
                }
            }
        }
        Ok(done)
    }

    /// Closes the stream: nothing more will be published by this process.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), StoreError> {
        let stream = *self.stream.lock();
        self.store.close_stream(stream).await
    }
}
