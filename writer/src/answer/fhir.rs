//! Answers to FHIR clients: for a resource, a batch, a transaction (FHIR R4 sections 3.1.0.8 and 3.1.0.11).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use yima_schema::problem::{FieldError, ProblemType};
use yima_service::http::ProblemResponse;
use yima_store::bulk;

use super::operation_outcome::{Issue, OperationOutcome, issues};
use crate::intake::{FEW_ROWS, RowAnswer, RowStatus};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// An error as `OperationOutcome`; `within`: the type of the resource that its pointers are relative to, empty if that
/// is not known.
pub(super) fn error(error: ProblemResponse, within: &str) -> Response {
    let body = encode(&OperationOutcome::new(issues(error.problem(), within)));
    with_body(error, body)
}

/// The response of a problem, with another body.
fn with_body(error: ProblemResponse, body: Vec<u8>) -> Response {
    let mut response = error.into_response();
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(CONTENT_TYPE, FHIR_JSON);
    response
}

/// The answer to one resource.
pub(super) fn resource(mut answer: RowAnswer) -> Response {
    explain_conflict(&mut answer, "");
    if let Some(problem) = answer.problem.take() {
        return error(problem.into(), resource_type(answer.id.as_deref()));
    }
    let mut response = respond(status(&answer), encode(&outcome(&answer)));
    let location = location(&answer).and_then(|location| HeaderValue::try_from(location).ok());
    response.headers_mut().extend(location.map(|location| (LOCATION, location)));
    response
}

/// The answer to a batch: one entry a row.
pub(super) async fn batch(mut answers: Vec<RowAnswer>) -> Response {
    answers.iter_mut().for_each(|answer| explain_conflict(answer, "/resource"));
    bundle("batch-response", answers).await
}

/// The answer to a transaction: one entry a row, or all problems if there is one.
pub(super) async fn transaction(mut answers: Vec<RowAnswer>) -> Response {
    answers.iter_mut().for_each(|answer| explain_conflict(answer, "/resource"));
    let problems = || answers.iter().filter_map(|answer| Some((answer, answer.problem.as_ref()?)));
    match problems().next() {
        Some((_, first)) => {
            let issue = problems().flat_map(|(answer, problem)| issues(problem, &within(answer))).collect();
            with_body(first.clone().into(), encode(&OperationOutcome::new(issue)))
        }
        None => bundle("transaction-response", answers).await,
    }
}

/// Explains a conflict in FHIR's terms; `resource`: the pointer to the resource.
fn explain_conflict(answer: &mut RowAnswer, resource: &str) {
    if let Some(problem) = &mut answer.problem
        && problem.kind == ProblemType::Conflict
    {
        let detail = "a resource with this id and version but different content already exists: expected a correction \
            to have a higher meta.versionId or, where that is no number, a later meta.lastUpdated";
        problem.errors = vec![FieldError::new(format!("{resource}/meta/versionId"), detail)];
    }
}

/// Encoded in a thread that may block: megabytes for many entries.
async fn bundle(kind: &'static str, answers: Vec<RowAnswer>) -> Response {
    let is_bulk = answers.len() > FEW_ROWS;
    let write = move || encode(&BundleAnswer { kind, entry: &answers });
    let body = bulk::spawn_blocking(is_bulk, write).await.expect("an answer always encodes");
    respond(StatusCode::OK, body)
}

#[derive(Serialize)]
#[serde(tag = "resourceType", rename = "Bundle")]
struct BundleAnswer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(serialize_with = "entries")]
    entry: &'a [RowAnswer],
}

#[derive(Serialize)]
struct EntryAnswer<'a> {
    response: EntryResponse<'a>,
}

#[derive(Serialize)]
struct EntryResponse<'a> {
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    outcome: OperationOutcome<'a>,
}

/// Serializes entries one by one: no more than one exists beside the text.
fn entries<S: Serializer>(answers: &[RowAnswer], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(answers.iter().map(|answer| {
        let status = status(answer);
        let reason = status.canonical_reason().unwrap_or_default();
        let status = format!("{} {reason}", status.as_u16());
        EntryAnswer { response: EntryResponse { status, location: location(answer), outcome: outcome(answer) } }
    }))
}

fn encode(resource: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(resource).expect("an answer is made of texts, and always encodes")
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, FHIR_JSON)], body).into_response()
}

/// 201 for a new event, 200 for a row that changes nothing, the problem's status for a rejected one.
fn status(answer: &RowAnswer) -> StatusCode {
    let problem_status = answer.problem.as_ref().map(|problem| problem.kind.status());
    match (problem_status, answer.status) {
        (Some(status), _) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (None, RowStatus::Accepted) => StatusCode::CREATED,
        (None, RowStatus::Duplicate | RowStatus::Ignored | RowStatus::Rejected) => StatusCode::OK,
    }
}

/// Id and version of an accepted resource. It cannot be read there.
fn location(answer: &RowAnswer) -> Option<String> {
    let id = answer.id.as_deref().filter(|_| answer.status == RowStatus::Accepted)?;
    Some(format!("{id}/_history/{}", answer.revision))
}

fn outcome(answer: &RowAnswer) -> OperationOutcome<'_> {
    let issue = match (&answer.problem, answer.status, &answer.reason) {
        (Some(problem), ..) => issues(problem, &within(answer)),
        (None, RowStatus::Ignored, Some(reason)) => vec![Issue::information(format!("ignored: {reason}"))],
        (None, RowStatus::Duplicate, _) => vec![Issue::information("duplicate: it had been accepted before")],
        (None, RowStatus::Accepted, Some(reason)) => vec![Issue::information(format!("accepted: {reason}"))],
        (None, RowStatus::Accepted | RowStatus::Ignored | RowStatus::Rejected, _) => {
            vec![Issue::information("accepted")]
        }
    };
    OperationOutcome::new(issue).with_freshness(answer.freshness.as_deref())
}

/// FHIRPath of an entry in its Bundle.
fn within(answer: &RowAnswer) -> String {
    format!("Bundle.entry[{}]", answer.row - 1)
}

fn resource_type(id: Option<&str>) -> &str {
    id.and_then(|id| id.split('/').next()).unwrap_or_default()
}
