//! Rows: read each, commit those in order together, answer each by itself.

use std::sync::Arc;

use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::ProblemResponse;
use yima_service::rate_limit::Remaining;
use yima_store::{StoreError, span};

use super::sender::Sender;
use crate::app::App;
use crate::fold::Outcome;
use crate::ingest::{Context, Input, Row, RowError};

/// Rows committed together: enough to share a disk sync, few enough to answer soon and to bound memory.
pub(super) const BATCH_ROWS: usize = 2_000;

/// Faults told of all rows of a body; after so many each row is told its first.
const MAX_FAULTS: usize = 20_000;

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Durable, folded and published.
    Accepted,
    /// The same, and it had been there before.
    Duplicate,
    /// Understood, and no business of a health code.
    Ignored,
    /// At fault, or one that had to be taken with it is: nothing was kept of it. With a problem of 500 or 503 that is not known.
    #[default]
    Rejected,
}

/// One line of the answer.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct RowAnswer {
    pub row: usize,
    pub id: Option<String>,
    /// Of what was read as an event.
    #[serde(skip)]
    pub revision: u64,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Whether a row at fault stops the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Atomicity {
    /// Each row that is in order.
    Each,
    /// All rows or none.
    AllOrNone,
}

/// Takes many rows, a batch at a time. Refused for their number as a whole or not at all: once a batch is taken, the rest is paced.
pub(super) async fn paced(
    app: &Arc<App>,
    sender: &Sender,
    rows: Vec<(usize, Input)>,
) -> Result<(Vec<RowAnswer>, Remaining), ProblemResponse> {
    let mut answers = Vec::with_capacity(rows.len());
    let (mut remaining, mut faults) = (sender.remaining, 0);
    let mut rows = rows.into_iter();
    loop {
        let batch: Vec<_> = rows.by_ref().take(BATCH_ROWS).collect();
        if batch.is_empty() {
            return Ok((answers, remaining));
        }
        remaining =
            if answers.is_empty() { sender.pay(app, batch.len())? } else { sender.pay_later(app, batch.len()).await };
        let mut answered = commit(app, sender, batch, Atomicity::Each).await;
        for problem in answered.iter_mut().filter_map(|answer| answer.problem.as_mut()) {
            if faults > MAX_FAULTS {
                problem.errors.truncate(1);
            }
            faults += problem.errors.len();
        }
        answers.extend(answered);
    }
}

/// Reads and commits rows of one agency. Runs as a task of its own: a client that goes away does not stop what was begun, and its place is
/// taken until then.
pub(super) async fn commit(
    app: &Arc<App>,
    sender: &Sender,
    rows: Vec<(usize, Input)>,
    keep: Atomicity,
) -> Vec<RowAnswer> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let numbers: Vec<usize> = rows.iter().map(|(n, _)| *n).collect();
    let (task_app, sender) = (Arc::clone(app), sender.clone());
    let work = async move {
        let answers = read_and_commit(&task_app, &sender.agency, rows, keep).await;
        count(&answers);
        // Nobody may be waiting any more.
        let _ = answer.send(answers);
        // With its place.
        drop(sender);
    };
    app.lifecycle.spawn("fold", work.in_current_span());
    answered.await.unwrap_or_else(|_| {
        // The process is being ended; what was appended is folded when it starts again.
        let ended = |row| RowAnswer { row, problem: Some(unknown()), ..RowAnswer::default() };
        numbers.into_iter().map(ended).collect()
    })
}

/// Away from the thread: parsing and hashing thousands of rows would hold up the requests that share it.
async fn read(app: &Arc<App>, agency: &Arc<str>, rows: Vec<(usize, Input)>) -> Vec<(usize, Row)> {
    let span = span!("read_rows", rows = rows.len());
    let (app, agency) = (Arc::clone(app), Arc::clone(agency));
    let read = move || {
        let now = (app.clock)();
        let date_offset_minutes = app.config.fhir_date_offset_minutes;
        let (pseudonyms, rules) = (&app.pseudonyms, app.folder.rules());
        let context = Context { agency: &agency, now, pseudonyms, rules, date_offset_minutes };
        rows.into_iter().map(|(n, input)| (n, input.read(context))).collect()
    };
    // If it panics, the client is told that the outcome is not known.
    tokio::task::spawn_blocking(read).instrument(span).await.expect("reading a row does not panic")
}

async fn read_and_commit(
    app: &Arc<App>,
    agency: &Arc<str>,
    rows: Vec<(usize, Input)>,
    keep: Atomicity,
) -> Vec<RowAnswer> {
    let read = read(app, agency, rows).await;
    let mut answers = Vec::with_capacity(read.len());
    let (mut events, mut waiting) = (Vec::new(), Vec::new());
    for (row, Row { id, event }) in read {
        let revision = event.as_ref().map_or(0, |stored| stored.event.revision);
        let (reason, problem, status) = match event {
            Ok(event) => {
                events.push(event);
                waiting.push(answers.len());
                (None, None, Status::Accepted)
            }
            Err(RowError::Ignored(reason)) => (Some(reason), None, Status::Ignored),
            Err(RowError::Rejected(problem)) => (None, Some(problem), Status::Rejected),
        };
        answers.push(RowAnswer { row, id, revision, status, reason, problem });
    }
    if events.is_empty() {
        return answers;
    }
    if app.room.is_low() {
        for at in waiting {
            (answers[at].status, answers[at].problem) = (Status::Rejected, Some(no_room()));
        }
        return answers;
    }
    let refused = match keep {
        Atomicity::Each => false,
        Atomicity::AllOrNone => answers.iter().any(|answer| answer.problem.is_some()),
    };
    let outcomes = match (refused, keep) {
        (true, _) => Ok(vec![Outcome::NotTried; events.len()]),
        (false, Atomicity::Each) => app.folder.commit(events).await,
        (false, Atomicity::AllOrNone) => app.folder.commit_all(events).await,
    };
    for (nth, at) in waiting.into_iter().enumerate() {
        let outcome = outcomes.as_ref().map(|outcomes| outcomes[nth]);
        (answers[at].status, answers[at].problem) = match outcome {
            Ok(Outcome::Accepted) => (Status::Accepted, None),
            Ok(Outcome::Duplicate) => (Status::Duplicate, None),
            Ok(Outcome::Conflict) => (Status::Rejected, Some(conflict())),
            Ok(Outcome::Full) => (Status::Rejected, Some(full())),
            Ok(Outcome::NotTried) => (Status::Rejected, None),
            Ok(Outcome::Unreadable) => (Status::Rejected, Some(unreadable())),
            Err(fault) => (Status::Rejected, Some(store_problem(fault))),
        };
    }
    if let Err(fault) = outcomes {
        tracing::error!(%fault, "events could not be committed");
    }
    answers
}

/// `events_total` by what became of the rows. `not_taken` is our fault, and `rejected` the sender's.
fn count(answers: &[RowAnswer]) {
    let name = |answer: &RowAnswer| match answer.status {
        Status::Accepted => "accepted",
        Status::Duplicate => "duplicate",
        Status::Ignored => "ignored",
        Status::Rejected if answer.problem.as_ref().is_some_and(|problem| problem.kind.status() >= 500) => "not_taken",
        Status::Rejected => "rejected",
    };
    for status in ["accepted", "duplicate", "ignored", "rejected", "not_taken"] {
        let rows = answers.iter().filter(|answer| name(answer) == status).count();
        metrics::counter!("events_total", "status" => status).increment(rows as u64);
    }
}

fn conflict() -> Problem {
    let detail = "Another content was accepted under this id and revision; send a correction with a higher revision";
    Problem::new(ProblemType::Conflict, detail)
}

fn full() -> Problem {
    let limit = yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
    Problem::new(ProblemType::SubjectFull, format!("A subject can have at most {limit} events"))
}

fn no_room() -> Problem {
    let detail = "There is too little room on the disk: nothing of this was taken; send it again later";
    Problem::new(ProblemType::NoRoom, detail).retry_after(30)
}

fn unknown() -> Problem {
    let detail = "It is not known whether this was taken; send it again, which changes nothing if it was";
    Problem::new(ProblemType::Unavailable, detail).retry_after(5)
}

fn store_problem(fault: &StoreError) -> Problem {
    match fault {
        StoreError::Unavailable(_) | StoreError::TimedOut => unknown(),
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => unreadable(),
    }
}

fn unreadable() -> Problem {
    Problem::new(ProblemType::Internal, "It is not known whether this was taken; the fault has been reported")
}
