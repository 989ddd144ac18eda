//! Renders the answers to an upload: JSON, NDJSON, or FHIR.

mod fhir;
mod operation_outcome;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_service::http::ProblemResponse;
use yima_store::bulk;

use crate::decode::upload::{MediaType, UploadForm};
use crate::intake::{FEW_ROWS, RowAnswer, RowStatus};

/// The result of one event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventAnswer {
    id: Option<String>,
    status: RowStatus,
    /// Why it was ignored, or what it took back instead of counting.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Of an accepted event: sent as `Yima-At-Least-As-Fresh`, it demands answers that have the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<String>,
}

/// Renders the answers in the form of the upload.
///
/// # Errors
/// The problem of a single event.
pub(crate) async fn render(form: UploadForm, answers: Vec<RowAnswer>) -> Result<Response, ProblemResponse> {
    match form {
        UploadForm::Event => event(first(answers)),
        UploadForm::Rows => Ok(ndjson(answers).await),
        UploadForm::Resource => Ok(fhir::resource(first(answers))),
        UploadForm::Batch => Ok(fhir::batch(answers).await),
        UploadForm::Transaction => Ok(fhir::transaction(answers).await),
    }
}

/// Renders an error of the whole request.
pub(crate) fn error(error: ProblemResponse, is_fhir_client: bool) -> Response {
    if is_fhir_client { fhir::error(error, "") } else { error.into_response() }
}

/// The answer to an upload of one row.
fn first(answers: Vec<RowAnswer>) -> RowAnswer {
    answers.into_iter().next().unwrap_or_default()
}

fn event(answer: RowAnswer) -> Result<Response, ProblemResponse> {
    let RowAnswer { id, status, reason, freshness, problem, .. } = answer;
    match problem {
        Some(problem) => Err(problem.into()),
        None => Ok(axum::Json(EventAnswer { id, status, reason, freshness }).into_response()),
    }
}

/// Encoded in a thread that may block: up to tens of megabytes.
async fn ndjson(answers: Vec<RowAnswer>) -> Response {
    let is_bulk = answers.len() > FEW_ROWS;
    let encode = move || {
        let mut lines = Vec::with_capacity(answers.len() * 48);
        for answer in answers {
            serde_json::to_writer(&mut lines, &answer).expect("a row's answer always encodes");
            lines.push(b'\n');
        }
        lines
    };
    let lines = bulk::spawn_blocking(is_bulk, encode).await.expect("encoding does not panic");
    ([(CONTENT_TYPE, HeaderValue::from_static(MediaType::Ndjson.as_str()))], lines).into_response()
}
