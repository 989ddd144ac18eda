//! Rows: read each, commit those in order together, answer each by itself.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use yima_schema::problem::{Problem, ProblemType};
use yima_store::StoreError;

use crate::app::App;
use crate::fold::Outcome;
use crate::ingest::{self, Context, Dialect, NotTaken, Row};

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Durable, folded and published.
    Accepted,
    /// The same, and it had been there before.
    Duplicate,
    /// Understood, and no business of a health code.
    Ignored,
    /// At fault; nothing was kept of it.
    #[default]
    Rejected,
}

/// One line of the answer.
#[derive(Default, Serialize)]
pub(super) struct RowAnswer {
    pub row: usize,
    pub id: Option<String>,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The lines of a body that have something in them, with their numbers from 1. Slices of the body, no copies.
pub(super) fn line_numbers(body: &Bytes) -> Vec<(usize, Bytes)> {
    let lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty()).map(|(n, line)| (n, body.slice_ref(line))).collect()
}

/// Reads and commits rows of one agency. Runs as a task of its own: a client that goes away does not stop what was begun.
pub(super) async fn commit(
    app: &Arc<App>,
    agency: &Arc<str>,
    dialect: Dialect,
    rows: Vec<(usize, Bytes)>,
) -> Vec<RowAnswer> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let numbers: Vec<usize> = rows.iter().map(|(n, _)| *n).collect();
    let (task_app, agency) = (Arc::clone(app), Arc::clone(agency));
    app.lifecycle.spawn("fold", async move {
        // Nobody may be waiting any more.
        let _ = answer.send(read_and_commit(&task_app, &agency, dialect, rows).await);
    });
    answered.await.unwrap_or_else(|_| {
        // The process is being ended; what was appended is folded when it starts again.
        let ended = |row| RowAnswer { row, problem: Some(unknown()), ..RowAnswer::default() };
        numbers.into_iter().map(ended).collect()
    })
}

async fn read_and_commit(
    app: &Arc<App>,
    agency: &Arc<str>,
    dialect: Dialect,
    rows: Vec<(usize, Bytes)>,
) -> Vec<RowAnswer> {
    let read = {
        let (app, agency) = (Arc::clone(app), Arc::clone(agency));
        // Parsing and hashing thousands of rows would hold up the requests that share this thread.
        tokio::task::spawn_blocking(move || {
            let now = (app.clock)();
            let context = Context { agency: &agency, now, pseudonyms: &app.pseudonyms, rules: &app.rules };
            rows.into_iter().map(|(n, text)| (n, ingest::read(&text, dialect, context))).collect::<Vec<_>>()
        })
        .await
        .expect("reading a row does not panic") // if it does, the client is told that the outcome is not known
    };
    let mut answers = Vec::with_capacity(read.len());
    let (mut events, mut waiting) = (Vec::new(), Vec::new());
    for (row, Row { id, event }) in read {
        let (reason, problem, status) = match event {
            Ok(event) => {
                events.push(event);
                waiting.push(answers.len());
                (None, None, Status::Accepted)
            }
            Err(NotTaken::Ignored(reason)) => (Some(reason), None, Status::Ignored),
            Err(NotTaken::Rejected(problem)) => (None, Some(problem), Status::Rejected),
        };
        answers.push(RowAnswer { row, id, status, reason, problem });
    }
    if events.is_empty() {
        count(&answers);
        return answers;
    }
    let outcomes = app.folder.commit(events).await;
    for (nth, at) in waiting.into_iter().enumerate() {
        let outcome = outcomes.as_ref().map(|outcomes| outcomes[nth]);
        (answers[at].status, answers[at].problem) = match outcome {
            Ok(Outcome::Accepted) => (Status::Accepted, None),
            Ok(Outcome::Duplicate) => (Status::Duplicate, None),
            Ok(Outcome::Conflict) => (Status::Rejected, Some(conflict())),
            Ok(Outcome::Full) => (Status::Rejected, Some(full())),
            Err(fault) => (Status::Rejected, Some(store_problem(fault))),
        };
    }
    if let Err(fault) = outcomes {
        tracing::error!(%fault, "events could not be committed");
    }
    count(&answers);
    answers
}

/// `events_total` by what became of the rows.
fn count(answers: &[RowAnswer]) {
    for (status, name) in [
        (Status::Accepted, "accepted"),
        (Status::Duplicate, "duplicate"),
        (Status::Ignored, "ignored"),
        (Status::Rejected, "rejected"),
    ] {
        let rows = answers.iter().filter(|answer| answer.status == status).count();
        metrics::counter!("events_total", "status" => name).increment(rows as u64);
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

fn unknown() -> Problem {
    let detail = "It is not known whether this was taken; send it again, which changes nothing if it was";
    Problem::new(ProblemType::Unavailable, detail).retry_after(5)
}

fn store_problem(fault: &StoreError) -> Problem {
    match fault {
        StoreError::Unavailable(_) | StoreError::TimedOut => unknown(),
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => {
            Problem::new(ProblemType::Internal, "It is not known whether this was taken; the fault has been reported")
        }
    }
}
