//! From events to outcomes: append, then fold until it is done.

use std::time::Duration;

use tracing::Instrument;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_store::{Appended, Mark, StoreError, failpoint, span};

use super::Folder;

/// How long to wait before a fold that has begun is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What became of an event whose row was in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Durable, folded and published, for the first time.
    Accepted,
    /// The same, and it had been there before.
    Duplicate,
    /// Another content is there under its id and revision.
    Conflict,
    /// Its subject has as many events as one can have.
    Full,
    /// Nothing was done, because another event that it was to be taken with is at fault.
    NotTried,
    /// It is there, and its subject's data cannot be read: no view shows it.
    Unreadable,
}

impl Folder {
    /// Appends events and folds their subjects; each outcome holds when this returns. Once the events are appended this does not give
    /// up: what was begun is finished, whatever the client was told.
    ///
    /// # Errors
    /// Nothing was appended.
    pub async fn commit(&self, events: Vec<StoredEvent>) -> Result<Vec<Outcome>, StoreError> {
        let subjects = self.begin(&events).await?;
        let span = span!("append", events = events.len());
        let appended = self.store.append(events).instrument(span).await?;
        self.fold_appended(subjects, appended).await
    }

    /// As [`Self::commit`], but all or none: if one event cannot be taken, nothing is appended.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Outcome>, StoreError> {
        let subjects = self.begin(&events).await?;
        let span = span!("append", events = events.len());
        let appended = self.store.append_all(events).instrument(span).await?;
        self.fold_appended(subjects, appended).await
    }

    /// Whose events they are, if they may be appended.
    async fn begin(&self, events: &[StoredEvent]) -> Result<Vec<SubjectId>, StoreError> {
        failpoint::pass("before_append")?;
        if self.is_outdated() {
            self.check_rules().await?;
        }
        Ok(events.iter().map(|event| event.event.subject).collect())
    }

    async fn fold_appended(
        &self,
        subjects: Vec<SubjectId>,
        appended: Vec<Appended>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (mut marks, mut to_fold) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::with_capacity(appended.len());
        for (subject, appended) in subjects.iter().copied().zip(appended) {
            let (outcome, mark) = match appended {
                Appended::New(mark) => (Outcome::Accepted, Some(mark)),
                Appended::Duplicate(mark) => (Outcome::Duplicate, Some(mark)),
                Appended::Conflict => (Outcome::Conflict, None),
                Appended::Full => (Outcome::Full, None),
                Appended::NotTried => (Outcome::NotTried, None),
            };
            outcomes.push(outcome);
            if let Some(mark) = mark {
                marks.push(mark);
                to_fold.push(subject);
            }
        }
        let unreadable = self.finish(&to_fold, &marks).await?;
        for (outcome, subject) in outcomes.iter_mut().zip(&subjects) {
            if matches!(outcome, Outcome::Accepted | Outcome::Duplicate) && unreadable.contains(subject) {
                *outcome = Outcome::Unreadable;
            }
        }
        failpoint::pass("published")?;
        Ok(outcomes)
    }

    /// Folds and publishes until it is done, but for the subjects it returns, whose data cannot be read; only what a later try cannot mend
    /// is an error.
    async fn finish(&self, subjects: &[SubjectId], marks: &[Mark]) -> Result<Vec<SubjectId>, StoreError> {
        let mut wait = RETRY.0;
        loop {
            match self.fold_readable(subjects, marks).await {
                Err(fault @ (StoreError::Unavailable(_) | StoreError::TimedOut)) => {
                    tracing::warn!(%fault, "a fold waits for the store");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
                done @ (Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::Rejected(_))) => return done,
            }
        }
    }
}
