//! Takes an agency's rows: in batches, paced by the agency's rate limit, each batch decoded and committed by a task of
//! its own.

mod citizen;
mod limits;
mod pipeline;
mod problems;
mod replay;
mod row;
mod shares;
#[cfg(test)]
mod tests;
mod withdrawal;

use std::sync::Arc;

use axum::http::HeaderMap;
use jiff::tz::{Offset, TimeZone};
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::ProblemResponse;
use yima_service::rate_limit::Remaining;

use self::limits::Limits;
pub(crate) use self::limits::Submission;
pub(crate) use self::pipeline::FEW_ROWS;
use self::pipeline::Pipeline;
pub use self::replay::Replayed;
use self::row::Atomicity;
pub(crate) use self::row::{RowAnswer, RowStatus};
use crate::admission::Admission;
use crate::agency_shares::AgencyShares;
use crate::app::Resources;
use crate::dead_letters::DeadLetters;
use crate::decode::upload::Upload;
use crate::moves::Moves;

/// Rows committed together: enough to share a disk sync, few enough to answer soon and to bound memory.
const BATCH_ROWS: usize = 2_000;
/// Rows of one agency that are decoded and compared with its rights at a time; a larger batch is alone. Threads that may
/// block take work in its order: other agencies' rows wait for as many of this one's.
const REVIEWED_ROWS: u32 = 1_000;
/// Errors reported for all rows of an upload; beyond it each row reports its first only.
const MAX_ERRORS: usize = 20_000;

/// Admits requests and takes their rows.
pub(crate) struct Intake {
    limits: Limits,
    pipeline: Arc<Pipeline>,
}

/// The answers to all rows of an upload.
pub(crate) struct Receipt {
    /// In the order of the rows.
    pub answers: Vec<RowAnswer>,
    /// The rest of the agency's quota.
    pub remaining: Remaining,
}

impl Intake {
    /// Wires the intake; see [`crate::app::App::new`].
    pub(crate) fn new(resources: Resources) -> Self {
        let Resources { folder, dead_letters, resources, disk_space, pseudonyms, files, config, lifecycle, clock } =
            resources;
        let offset = Offset::from_seconds(i32::from(config.fhir_date_offset_minutes) * 60);
        let (commit_timeout, freshness) = (config.commit_timeout, pseudonyms.seal_keys("freshness"));
        let limits = Limits::new(&config, &pseudonyms, clock);
        let pipeline = Pipeline {
            folder,
            disk_space,
            freshness,
            admission: Admission::new(files.agencies.clone()),
            files,
            zone: TimeZone::fixed(offset.expect("the settings are checked")),
            turns: AgencyShares::new(REVIEWED_ROWS),
            dead_letters: DeadLetters::new(dead_letters, pseudonyms.clone()),
            moves: Moves::new(resources),
            pseudonyms,
            commit_timeout,
            lifecycle,
            clock,
        };
        Self { limits, pipeline: Arc::new(pipeline) }
    }

    /// Admits an upload of an agency: counts it against the agency's rate, and gives it a place in line if there is no
    /// permit of the in-flight limit.
    ///
    /// # Errors
    /// 429, 503.
    pub(crate) fn admit_now(&self, agency: Arc<str>, headers: &HeaderMap) -> Result<Submission, ProblemResponse> {
        self.limits.admit_now(agency, headers)
    }

    /// Admits a request of an agency: counts it against the agency's rate, then waits for a permit of the in-flight
    /// limit.
    ///
    /// # Errors
    /// 429; 503 when no permit is free within `commit_timeout`.
    pub(crate) async fn admit(&self, agency: Arc<str>) -> Result<Submission, ProblemResponse> {
        self.limits.admit(agency).await
    }

    /// Takes an upload, a batch at a time. The rate limit refuses the upload at its first batch or not at all: later
    /// batches wait until the rate allows them.
    ///
    /// # Errors
    /// 413 for a transaction larger than a batch, 429.
    pub(crate) async fn take(&self, submission: &Submission, upload: Upload) -> Result<Receipt, ProblemResponse> {
        let atomicity = Atomicity::of(upload.form);
        if atomicity == Atomicity::AllOrNone && upload.rows.len() > BATCH_ROWS {
            let detail = format!("A transaction may have up to {BATCH_ROWS} entries; send more as a batch");
            return Err(Problem::new(ProblemType::TooLarge, detail).into());
        }
        let mut answers = Vec::with_capacity(upload.rows.len());
        let (mut remaining, mut errors) = (submission.remaining, 0);
        let mut rows = upload.rows.into_iter();
        loop {
            let batch: Vec<_> = rows.by_ref().take(BATCH_ROWS).collect();
            if batch.is_empty() {
                return Ok(Receipt { answers, remaining });
            }
            remaining = if answers.is_empty() {
                self.limits.pay(submission, batch.len())?
            } else {
                self.limits.pay_when_allowed(submission, batch.len()).await
            };
            let mut answered = self.pipeline.run(submission, batch, atomicity).await;
            for problem in answered.iter_mut().filter_map(|answer| answer.problem.as_mut()) {
                if errors > MAX_ERRORS {
                    problem.errors.truncate(1);
                }
                errors += problem.errors.len();
            }
            answers.extend(answered);
        }
    }

    /// Takes an event that a citizen wrote; see [`crate::app::App::take_from_citizen`].
    pub(crate) async fn take_from_citizen(&self, event: Event) -> Result<Option<Freshness>, Problem> {
        self.pipeline.take_from_citizen(event).await
    }

    /// Puts the state of the agency's rate limit on an answer.
    pub(crate) fn describe(&self, remaining: Remaining, headers: &mut HeaderMap) {
        self.limits.describe(remaining, headers);
    }

    /// Sets the gauges.
    pub(crate) fn report(&self) {
        self.limits.report();
    }

    /// Drops rate limits that are full again.
    pub(crate) fn sweep(&self) {
        self.limits.sweep();
        self.pipeline.dead_letters.sweep();
    }
}
