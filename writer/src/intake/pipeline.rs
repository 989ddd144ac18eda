//! The pipeline of a batch: decode the rows, commit their events together, answer each row.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::Instrument;
use yima_schema::event::{Event, StoredEvent};
use yima_schema::freshness::Freshness;
use yima_schema::problem::Problem;
use yima_schema::seal::SealKeys;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::disk_space::DiskSpace;
use yima_service::lifecycle::Lifecycle;
use yima_store::{StoreError, bulk, span};

use super::limits::Submission;
use super::problems;
use super::row::{Atomicity, RowAnswer, RowStatus, count};
use super::withdrawal::Withdrawal;
use crate::admission::{Admission, Candidate, restricts};
use crate::agency_shares::AgencyShares;
use crate::dead_letters::DeadLetters;
use crate::decode::{Context, DecodedRow, RawRow, RowError, RowForm, UnreadPositive};
use crate::fold::{CommitOutcome, Folder};
use crate::moves::Moves;
use crate::operator_file::OperatorFiles;

/// Rows that are no work in bulk: decoding them takes less than a millisecond.
pub(crate) const FEW_ROWS: usize = 16;

/// Decodes and commits batches.
pub(super) struct Pipeline {
    pub folder: Arc<Folder>,
    pub disk_space: Arc<DiskSpace>,
    pub pseudonyms: PseudonymKey,
    /// Seal freshness tokens.
    pub freshness: SealKeys,
    /// How long a batch is waited for.
    pub commit_timeout: Duration,
    pub files: OperatorFiles,
    pub zone: TimeZone,
    pub admission: Admission,
    /// Rows of each agency that are decoded and reviewed.
    pub turns: AgencyShares,
    pub dead_letters: DeadLetters,
    pub moves: Moves,
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
        let turn = self.turns.acquire(agency, u32::try_from(rows.len()).unwrap_or(u32::MAX)).await;
        let forms: Vec<RowForm> = rows.iter().map(|(_, row)| row.form()).collect();
        let decoded = self.decode(agency, rows).await;
        let mut answers = Vec::with_capacity(decoded.len());
        let (mut candidates, mut candidate_rows) = (Vec::new(), Vec::new());
        let (mut unread, mut unread_rows) = (Vec::new(), Vec::new());
        let mut withdrawals = Vec::new();
        for (at, ((row, decoded), form)) in decoded.into_iter().zip(forms).enumerate() {
            if let Err(RowError::UnreadPositive(positive)) = &decoded.event {
                unread.push(UnreadPositive::clone(positive));
                unread_rows.push(at);
            }
            withdrawals.extend(Withdrawal::of(at, form, &decoded));
            let (answer, event) = RowAnswer::of_decoded(row, decoded);
            if let Some((event, document_type)) = event {
                candidates.push(Candidate { event, document_type, form });
                candidate_rows.push(at);
            }
            answers.push(answer);
        }
        if let Err(problem) = self.keep(agency, &unread).await {
            unread_rows.into_iter().for_each(|at| answers[at].reject(problem.clone()));
        }
        for (at, withdrawn) in self.due(agency, withdrawals, &candidates).await {
            match withdrawn {
                Ok(candidate) => {
                    answers[at].withdraw(candidate.event.event.revision);
                    candidates.push(candidate);
                    candidate_rows.push(at);
                }
                Err(problem) => answers[at].reject(problem),
            }
        }
        if candidates.is_empty() {
            return answers;
        }
        if self.disk_space.is_low() {
            candidate_rows.into_iter().for_each(|at| answers[at].reject(problems::no_disk_space()));
            return answers;
        }
        let now = (self.clock)();
        let review = match self.admission.review(agency, &candidates, &self.folder, now).await {
            Ok(review) => review,
            Err(error) => {
                tracing::error!(%error, "events could not be compared with the agency's rights");
                candidate_rows.into_iter().for_each(|at| answers[at].reject(problems::of_store(&error)));
                return answers;
            }
        };
        drop(turn);
        let (mut events, mut event_rows, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut subjects, mut resources, mut notices) = (Vec::new(), Vec::new(), Vec::new());
        for ((candidate, at), refusal) in candidates.into_iter().zip(candidate_rows).zip(&review.refusals) {
            match refusal {
                Some(refusal) => answers[at].refuse(refusal.clone()),
                None => {
                    resources.push((at, Moves::resource(&candidate)));
                    let event = candidate.event;
                    notices.push((at, event.event.notice_for_guardian(event.hash)));
                    kinds.push((event.event.data.kind(), restricts(&event.event.data)));
                    subjects.push(event.event.subject);
                    event_rows.push(at);
                    events.push(event);
                }
            }
        }
        let outcomes = match atomicity {
            Atomicity::AllOrNone if answers.iter().any(|answer| answer.problem.is_some()) => {
                Ok(vec![CommitOutcome::NotTried; events.len()])
            }
            Atomicity::Each | Atomicity::AllOrNone if events.is_empty() => Ok(Vec::new()),
            Atomicity::Each | Atomicity::AllOrNone => self.commit(events, atomicity).await,
        };
        // After the views were published: the events are acknowledged at this moment or later.
        let moment = (self.clock)();
        let mut accepted = Vec::new();
        for (nth, ((at, subject), kind)) in event_rows.into_iter().zip(subjects).zip(kinds).enumerate() {
            let outcome = outcomes.as_ref().map(|outcomes| outcomes[nth]);
            if let Ok(CommitOutcome::Accepted(version)) = outcome {
                answers[at].freshness = Some(self.freshness_token(subject, version, moment));
                accepted.push(kind);
            }
            answers[at].complete(outcome);
        }
        self.admission.note(agency, &review, &accepted, now);
        let is_stored = |at: usize| matches!(answers[at].status, RowStatus::Accepted | RowStatus::Duplicate);
        let stored = resources.into_iter().filter(|(at, _)| is_stored(*at));
        let (rows, versions): (Vec<_>, Vec<_>) = stored.filter_map(|(at, version)| Some((at, version?))).unzip();
        let to_tell = notices.into_iter().filter(|(at, _)| is_stored(*at));
        let (told_rows, notices): (Vec<_>, Vec<_>) = to_tell.filter_map(|(at, notice)| Some((at, notice?))).unzip();
        if let Err(error) = self.tell_guardians(notices, now).await {
            tracing::error!(%error, "guardians could not be told of their wards");
            for at in told_rows {
                answers[at].freshness = None;
                answers[at].reject(problems::of_store(&error));
            }
        }
        if !versions.is_empty()
            && let Err(error) = self.moves.settle(&self.folder, versions, now).await
        {
            tracing::error!(%error, "it could not be found out whether results have moved to other patients");
            for at in rows {
                answers[at].freshness = None;
                answers[at].reject(problems::of_store(&error));
            }
        }
        answers
    }

    /// Writes the notices of guardianships that are stored. To be called before those are acknowledged: after a crash
    /// between the two the sender sends them again.
    async fn tell_guardians(&self, notices: Vec<Event>, now: Time) -> Result<(), StoreError> {
        let notices: Vec<_> = notices.into_iter().map(|notice| StoredEvent::new(notice, now)).collect();
        if notices.is_empty() {
            return Ok(());
        }
        for outcome in self.folder.commit(notices).await? {
            match outcome {
                CommitOutcome::Accepted(_) | CommitOutcome::Duplicate => {}
                CommitOutcome::Conflict | CommitOutcome::Full | CommitOutcome::NotTried | CommitOutcome::Unreadable => {
                    tracing::error!(?outcome, "a guardian's list of wards lacks one");
                }
            }
        }
        Ok(())
    }

    fn freshness_token(&self, subject: SubjectId, version: Version, moment: Time) -> String {
        let region = self.folder.region().to_owned();
        Freshness { region, subject, version, moment }.seal(&self.freshness)
    }

    /// Keeps rows as dead letters before they are answered.
    async fn keep(&self, agency: &str, unread: &[UnreadPositive]) -> Result<(), Problem> {
        if unread.is_empty() {
            return Ok(());
        }
        if self.disk_space.is_low() {
            return Err(problems::no_disk_space());
        }
        let kept = self.dead_letters.keep(agency, (self.clock)(), unread).await;
        kept.inspect_err(|error| tracing::error!(%error, "rows that are not understood could not be kept"))
            .map_err(|error| problems::of_store(&error))
    }

    /// Decodes rows in a thread that may block: parsing and hashing thousands of rows would delay the requests that
    /// share a runtime worker.
    async fn decode(self: &Arc<Self>, agency: &Arc<str>, rows: Vec<(usize, RawRow)>) -> Vec<(usize, DecodedRow)> {
        let (span, is_bulk) = (span!("read_rows", rows = rows.len()), rows.len() > FEW_ROWS);
        let (pipeline, agency) = (Arc::clone(self), Arc::clone(agency));
        let decode = move || {
            let (codes, agencies) = (pipeline.files.codes.content(), pipeline.files.agencies.content());
            let context = Context {
                agency: &agency,
                now: (pipeline.clock)(),
                pseudonyms: &pipeline.pseudonyms,
                rules: pipeline.folder.rules(),
                codes: &codes,
                zone: agencies.zone(&agency).unwrap_or(&pipeline.zone),
            };
            rows.into_iter().map(|(n, row)| (n, row.decode(context))).collect()
        };
        // After a panic the answer says that the outcome is unknown.
        bulk::spawn_blocking(is_bulk, decode).instrument(span).await.expect("decoding a row does not panic")
    }

    async fn commit(&self, events: Vec<StoredEvent>, atomicity: Atomicity) -> Result<Vec<CommitOutcome>, StoreError> {
        let committed = match atomicity {
            Atomicity::Each => self.folder.commit(events).await,
            Atomicity::AllOrNone => self.folder.commit_all(events).await,
        };
        committed.inspect_err(|error| tracing::error!(%error, "events could not be committed"))
    }
}
