//! The answer to one row.

use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::event::StoredEvent;
use yima_schema::problem::Problem;
use yima_schema::subject::DocumentType;
use yima_store::StoreError;

use super::problems;
use crate::admission::Refusal;
use crate::decode::upload::UploadForm;
use crate::decode::{DecodedRow, RowError};
use crate::fold::CommitOutcome;

/// The result of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Status)]
pub(crate) enum RowStatus {
    /// Durable, folded and published.
    Accepted,
    /// The same event had been accepted before.
    Duplicate,
    /// Understood, but irrelevant to a health code.
    Ignored,
    /// The row, or another row of its transaction, has errors: it was not stored. With a problem of 500 or 503 that is
    /// not known.
    #[default]
    Rejected,
}

/// One line of the answer.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct RowAnswer {
    pub row: usize,
    pub id: Option<String>,
    /// The revision of the decoded event.
    #[serde(skip)]
    pub revision: u64,
    pub status: RowStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of an accepted event: sent as `Yima-At-Least-As-Fresh`, it demands answers that have the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Whether an error in one row stops the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Atomicity {
    /// Each row by itself.
    Each,
    /// All rows or none.
    AllOrNone,
}

impl Atomicity {
    pub(super) fn of(form: UploadForm) -> Self {
        match form {
            UploadForm::Transaction => Self::AllOrNone,
            UploadForm::Event | UploadForm::Rows | UploadForm::Resource | UploadForm::Batch => Self::Each,
        }
    }
}

impl RowAnswer {
    /// Answers a decoded row; an event still has to be committed.
    pub(super) fn of_decoded(row: usize, decoded: DecodedRow) -> (Self, Option<(StoredEvent, DocumentType)>) {
        let answer = Self { row, id: decoded.id, ..Self::default() };
        match decoded.event {
            Ok(event) => {
                (Self { revision: event.0.event.revision, status: RowStatus::Accepted, ..answer }, Some(event))
            }
            Err(RowError::Ignored(reason)) => {
                (Self { status: RowStatus::Ignored, reason: Some(reason), ..answer }, None)
            }
            Err(RowError::NotCounted(fact)) => {
                (Self { status: RowStatus::Ignored, reason: Some(fact.reason), ..answer }, None)
            }
            Err(RowError::Rejected(problem)) => (Self { problem: Some(problem), ..answer }, None),
            Err(RowError::UnreadPositive(unread)) => (Self { problem: Some(unread.problem), ..answer }, None),
        }
    }

    /// Answers a row whose commit has no known outcome.
    pub(super) fn unknown(row: usize) -> Self {
        Self { row, problem: Some(problems::outcome_unknown()), ..Self::default() }
    }

    /// Answers a fact that does not count, and that takes an earlier version back; that still has to be committed.
    pub(super) fn withdraw(&mut self, revision: u64) {
        let reason = self.reason.take().unwrap_or_default();
        self.reason = Some(format!("the earlier version is taken back: {reason}"));
        (self.status, self.revision) = (RowStatus::Accepted, revision);
    }

    /// Completes the answer with the outcome of the commit.
    pub(super) fn complete(&mut self, outcome: Result<CommitOutcome, &StoreError>) {
        (self.status, self.problem) = match outcome {
            Ok(CommitOutcome::Accepted(_)) => (RowStatus::Accepted, None),
            Ok(CommitOutcome::Duplicate) => (RowStatus::Duplicate, None),
            Ok(CommitOutcome::Conflict) => (RowStatus::Rejected, Some(problems::conflict())),
            Ok(CommitOutcome::Full) => (RowStatus::Rejected, Some(problems::subject_full())),
            Ok(CommitOutcome::NotTried) => (RowStatus::Rejected, None),
            Ok(CommitOutcome::Unreadable) => (RowStatus::Rejected, Some(problems::unreadable())),
            Err(error) => (RowStatus::Rejected, Some(problems::of_store(error))),
        };
        if self.status == RowStatus::Rejected {
            self.reason = None;
        }
    }

    /// Answers an event that was not admitted.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Ignored(reason) => (self.status, self.reason) = (RowStatus::Ignored, Some(reason)),
            Refusal::Rejected(problem) => self.reject(problem),
        }
    }

    /// Rejects an event that was not committed.
    pub(super) fn reject(&mut self, problem: Problem) {
        (self.status, self.problem, self.reason) = (RowStatus::Rejected, Some(problem), None);
    }

    /// The label `status` of `events_total`: `rejected` is the sender's error, `not_taken` one of this service.
    fn label(&self) -> &'static str {
        match self.status {
            RowStatus::Accepted => "accepted",
            RowStatus::Duplicate => "duplicate",
            RowStatus::Ignored => "ignored",
            RowStatus::Rejected if self.problem.as_ref().is_some_and(|problem| problem.kind.status() >= 500) => {
                "not_taken"
            }
            RowStatus::Rejected => "rejected",
        }
    }
}

/// Counts the answers in `events_total`.
pub(super) fn count(answers: &[RowAnswer]) {
    for label in ["accepted", "duplicate", "ignored", "rejected", "not_taken"] {
        let rows = answers.iter().filter(|answer| answer.label() == label).count();
        metrics::counter!("events_total", "status" => label).increment(rows as u64);
    }
}
