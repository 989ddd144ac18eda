//! From events to acknowledged views: append, look up the version, *then* read the events, derive, compare and set,
//! publish.
//!
//! This order makes an acknowledgement true. The version is read before the events, so a compare-and-set that succeeds
//! was derived from at least the events that any earlier version was derived from; a fold that loses the race starts
//! again at the version.

#[cfg(test)]
pub(crate) mod damaged;
mod outcome;
mod plan;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_store::{Appended, CompareAndSet, EventReader, Mark, StoreError, ViewWrite, WriterStore, failpoint, span};

pub use outcome::CommitOutcome;
use plan::{Plan, plan};
use rules::RulesGuard;
use stream::OwnStream;

use crate::backoff::until_answered;

/// Subjects folded in one step: all of their events are in memory together.
const FOLD_BATCH: usize = 500;

/// Folds events into views and publishes them in this process's stream.
pub struct Folder {
    store: Arc<dyn WriterStore>,
    rules: RulesGuard,
    stream: OwnStream,
}

/// The views after a fold: of each readable subject the version that was published.
type Folded = HashMap<SubjectId, Version>;

impl Folder {
    /// Makes its rules the region's if they are newer, opens a stream, then folds and publishes what earlier writers
    /// left unfinished.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn start(store: Arc<dyn WriterStore>, rules: Arc<Rules>) -> Result<Self, StoreError> {
        let rules = RulesGuard::raise(&*store, rules).await?;
        let stream = OwnStream::open(&*store).await?;
        let folder = Self { store, rules, stream };
        // A second check: a process that raises the rules looks for open streams afterwards, so either it sees this
        // stream or this check sees its rules.
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

    /// Name of the region that it writes in.
    pub fn region(&self) -> &str {
        self.store.region()
    }

    /// The rules that this folder derives by.
    pub fn rules(&self) -> &Rules {
        self.rules.rules()
    }

    /// Reads events, as folds do.
    pub fn events(&self) -> &dyn EventReader {
        &*self.store
    }

    /// Reads the version of the region's rules; once it is newer, this folder takes nothing more.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn check_rules(&self) -> Result<(), StoreError> {
        self.rules.check(&*self.store).await
    }

    /// Whether newer rules than this folder's were seen in the region: the process has to stop.
    pub fn is_outdated(&self) -> bool {
        self.rules.is_outdated()
    }

    /// Appends events and folds their subjects; each outcome holds when this returns. Once the events are appended it
    /// does not give up: the fold is finished, whatever answer the client got.
    ///
    /// # Errors
    /// Nothing was appended.
    pub async fn commit(&self, events: Vec<StoredEvent>) -> Result<Vec<CommitOutcome>, StoreError> {
        let subjects = self.prepare(&events).await?;
        let span = span!("append", events = events.len());
        let appended = self.store.append(events).instrument(span).await?;
        self.fold_appended(subjects, appended).await
    }

    /// As [`Self::commit`], but all or none: if one event cannot be taken, nothing is appended.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_all(&self, events: Vec<StoredEvent>) -> Result<Vec<CommitOutcome>, StoreError> {
        let subjects = self.prepare(&events).await?;
        let span = span!("append", events = events.len());
        let appended = self.store.append_all(events).instrument(span).await?;
        self.fold_appended(subjects, appended).await
    }

    /// Folds and publishes subjects whose events are stored already; returns those whose data cannot be read.
    ///
    /// # Errors
    /// The store's; some subjects may be folded.
    pub async fn refold(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>, StoreError> {
        let folded = self.fold_readable(subjects, &[]).await?;
        Ok(subjects.iter().filter(|subject| !folded.contains_key(subject)).copied().collect())
    }

    /// Seals the stream: this process publishes nothing more.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.stream.close(&*self.store).await
    }

    /// Checks that events may be appended; returns their subjects.
    async fn prepare(&self, events: &[StoredEvent]) -> Result<Vec<SubjectId>, StoreError> {
        failpoint::pass("before_append")?;
        if self.is_outdated() {
            self.check_rules().await?;
        }
        Ok(events.iter().map(|event| event.event.subject).collect())
    }

    /// Folds the subjects of appended events until the store answers; only an error that another try cannot mend is
    /// returned.
    async fn fold_appended(
        &self,
        subjects: Vec<SubjectId>,
        appended: Vec<Appended>,
    ) -> Result<Vec<CommitOutcome>, StoreError> {
        let (mut marks, mut to_fold) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::with_capacity(appended.len());
        for (subject, appended) in subjects.iter().copied().zip(appended) {
            let (outcome, mark) = match appended {
                Appended::New(mark) => (CommitOutcome::Accepted(Version::ABSENT), Some(mark)),
                Appended::Duplicate(mark) => (CommitOutcome::Duplicate, Some(mark)),
                Appended::Conflict => (CommitOutcome::Conflict, None),
                Appended::Full => (CommitOutcome::Full, None),
                Appended::NotTried => (CommitOutcome::NotTried, None),
            };
            outcomes.push(outcome);
            if let Some(mark) = mark {
                marks.push(mark);
                to_fold.push(subject);
            }
        }
        let folded = until_answered(
            || self.fold_readable(&to_fold, &marks),
            |error, wait| tracing::warn!(%error, ?wait, "a fold waits for the store; it is retried until it succeeds"),
        );
        let folded = folded.await?;
        for (outcome, subject) in outcomes.iter_mut().zip(&subjects) {
            *outcome = match (*outcome, folded.get(subject)) {
                (CommitOutcome::Accepted(_), Some(version)) => CommitOutcome::Accepted(*version),
                (CommitOutcome::Accepted(_) | CommitOutcome::Duplicate, None) => CommitOutcome::Unreadable,
                (as_appended, _) => as_appended,
            };
        }
        failpoint::pass("published")?;
        Ok(outcomes)
    }

    /// Folds and publishes subjects together. If the data of one cannot be read, folds each by itself: the unreadable
    /// subject is not returned and keeps its mark, and all others are served. `marks`: one for each subject, or none.
    async fn fold_readable(&self, subjects: &[SubjectId], marks: &[Mark]) -> Result<Folded, StoreError> {
        if subjects.is_empty() {
            return Ok(Folded::new());
        }
        match self.fold_and_publish(subjects.to_vec(), marks).await {
            Err(StoreError::Corrupt { .. }) => {}
            folded => return folded,
        }
        let mut readable = Folded::new();
        for (n, subject) in subjects.iter().enumerate() {
            match self.fold_and_publish(vec![*subject], marks.get(n..=n).unwrap_or_default()).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, "a subject cannot be folded; its view stays as it is");
                }
                folded => readable.extend(folded?),
            }
        }
        Ok(readable)
    }

    async fn fold_and_publish(&self, mut subjects: Vec<SubjectId>, marks: &[Mark]) -> Result<Folded, StoreError> {
        failpoint::pass("appended")?;
        subjects.sort_unstable();
        subjects.dedup();
        let mut changes = Vec::with_capacity(subjects.len());
        for batch in subjects.chunks(FOLD_BATCH) {
            changes.extend(self.fold(batch.to_vec()).await?);
        }
        self.stream.publish(&*self.store, &self.rules, &changes, marks).await?;
        Ok(changes.iter().map(|change| (change.subject, change.version)).collect())
    }

    /// Brings each subject's view up to its events; returns the newest view of every subject, also of those that did
    /// not change.
    async fn fold(&self, mut subjects: Vec<SubjectId>) -> Result<Vec<Change>, StoreError> {
        let mut newest = Vec::with_capacity(subjects.len());
        while !subjects.is_empty() {
            let (span, count) = (span!("lookup_versions", subjects = subjects.len()), subjects.len());
            let current = self.store.lookup_many(&subjects).instrument(span).await?;
            failpoint::pass("version_read")?;
            let events = self.store.events(&subjects).instrument(span!("read_events", subjects = count)).await?;
            failpoint::pass("events_read")?;
            let (rules, epoch) = (self.rules.rules().clone(), self.store.epoch());
            // A thousand subjects take some ten milliseconds: too long for a thread that serves other requests.
            let derived = tokio::task::spawn_blocking(move || plan(&subjects, current, &events, &rules, epoch));
            let planned =
                derived.instrument(span!("derive", subjects = count)).await.map_err(|_| StoreError::TimedOut)?;
            let Plan { unchanged, changed } = planned.inspect_err(|_| self.rules.note_outdated())?;
            newest.extend(unchanged);
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
                    CompareAndSet::Set => newest.push(change),
                    CompareAndSet::Lost => subjects.push(change.subject),
                }
            }
        }
        Ok(newest)
    }
}
