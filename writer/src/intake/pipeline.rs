//! The pipeline of a batch: decode the rows, commit their events together, answer each row.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;
use yima_schema::event::StoredEvent;
use yima_schema::freshness::Freshness;
use yima_schema::seal::SealKeys;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::disk_space::DiskSpace;
use yima_service::lifecycle::Lifecycle;
use yima_store::{StoreError, span};

use super::limits::Submission;
use super::problems;
use super::row::{Atomicity, RowAnswer, count};
use crate::decode::{Context, DecodedRow, RawRow};
use crate::fold::{CommitOutcome, Folder};

/// Decodes and commits batches.
pub(super) struct Pipeline {
    pub folder: Arc<Folder>,
    pub disk_space: Arc<DiskSpace>,
    pub pseudonyms: PseudonymKey,
    /// Seal freshness tokens.
    pub freshness: SealKeys,
    pub date_offset_minutes: i16,
    /// How long a batch is waited for.
    pub commit_timeout: Duration,
    pub lifecycle: Lifecycle,
    pub clock: fn() -> Time,
}

impl Pipeline {
    /// Runs a batch as a task of its own: a client that disconnects does not stop it, and its permit is held until the
    /// end.
    pub(super) async fn run(
        self: &Arc<Self>,
        submission: &Submission,
        rows: Vec<(usize, RawRow)>,
        atomicity: Atomicity,
    ) -> Vec<RowAnswer> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let numbers: Vec<usize> = rows.iter().map(|(n, _)| *n).collect();
        let (pipeline, submission) = (Arc::clone(self), submission.clone());
        let work = async move {
            let answers = pipeline.decode_and_commit(&submission.agency, rows, atomicity).await;
            count(&answers);
            // The client may have disconnected.
            let _ = sender.send(answers);
            // The permit is returned here, and not before.
            drop(submission);
        };
        self.lifecycle.spawn("fold", work.in_current_span());
        // Without an answer in time the task goes on, or the process is being stopped: then appended events are folded
        // at its next start.
        let answers = tokio::time::timeout(self.commit_timeout, receiver).await;
        answers.ok().and_then(Result::ok).unwrap_or_else(|| numbers.into_iter().map(RowAnswer::unknown).collect())
    }

    async fn decode_and_commit(
        self: &Arc<Self>,
        agency: &Arc<str>,
        rows: Vec<(usize, RawRow)>,
        atomicity: Atomicity,
    ) -> Vec<RowAnswer> {
        let decoded = self.decode(agency, rows).await;
        let mut answers = Vec::with_capacity(decoded.len());
        let (mut events, mut event_rows) = (Vec::new(), Vec::new());
        for (at, (row, decoded)) in decoded.into_iter().enumerate() {
            let (answer, event) = RowAnswer::of_decoded(row, decoded);
            if let Some(event) = event {
                events.push(event);
                event_rows.push(at);
            }
            answers.push(answer);
        }
        if events.is_empty() {
            return answers;
        }
        if self.disk_space.is_low() {
            event_rows.into_iter().for_each(|at| answers[at].reject(problems::no_disk_space()));
            return answers;
        }
        let subjects: Vec<SubjectId> = events.iter().map(|event| event.event.subject).collect();
        let outcomes = match atomicity {
            Atomicity::AllOrNone if answers.iter().any(|answer| answer.problem.is_some()) => {
                Ok(vec![CommitOutcome::NotTried; events.len()])
            }
            Atomicity::Each | Atomicity::AllOrNone => self.commit(events, atomicity).await,
        };
        // After the views were published: the events are acknowledged at this moment or later.
        let moment = (self.clock)();
        for (nth, (at, subject)) in event_rows.into_iter().zip(subjects).enumerate() {
            let outcome = outcomes.as_ref().map(|outcomes| outcomes[nth]);
            if let Ok(CommitOutcome::Accepted(version)) = outcome {
                answers[at].freshness = Some(self.freshness_token(subject, version, moment));
            }
            answers[at].complete(outcome);
        }
        answers
    }

    fn freshness_token(&self, subject: SubjectId, version: Version, moment: Time) -> String {
        let region = self.folder.region().to_owned();
        Freshness { region, subject, version, moment }.seal(&self.freshness)
    }

    /// Decodes rows in a thread that may block: parsing and hashing thousands of rows would delay the requests that
    /// share a runtime worker.
    async fn decode(self: &Arc<Self>, agency: &Arc<str>, rows: Vec<(usize, RawRow)>) -> Vec<(usize, DecodedRow)> {
        let span = span!("read_rows", rows = rows.len());
        let (pipeline, agency) = (Arc::clone(self), Arc::clone(agency));
        let decode = move || {
            let context = Context {
                agency: &agency,
                now: (pipeline.clock)(),
                pseudonyms: &pipeline.pseudonyms,
                rules: pipeline.folder.rules(),
                date_offset_minutes: pipeline.date_offset_minutes,
            };
            rows.into_iter().map(|(n, row)| (n, row.decode(context))).collect()
        };
        // After a panic the answer says that the outcome is unknown.
        tokio::task::spawn_blocking(decode).instrument(span).await.expect("decoding a row does not panic")
    }

    async fn commit(&self, events: Vec<StoredEvent>, atomicity: Atomicity) -> Result<Vec<CommitOutcome>, StoreError> {
        let committed = match atomicity {
            Atomicity::Each => self.folder.commit(events).await,
            Atomicity::AllOrNone => self.folder.commit_all(events).await,
        };
        committed.inspect_err(|error| tracing::error!(%error, "events could not be committed"))
    }
}
