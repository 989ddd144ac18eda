//! `POST /v1/events` for who speaks FHIR: a resource, a batch, a transaction (FHIR R4 sections 3.1.0.8 and 3.1.0.11).

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_service::http::ProblemResponse;
use yima_service::rate_limit::Remaining;

use super::rows::{Atomicity, BATCH_ROWS, RowAnswer, Status, commit, paced};
use super::sender::Sender;
use crate::app::App;
use crate::ingest::Input;
use crate::ingest::fhir::{Bundle, BundleType, Issue, OperationOutcome, issues};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// Whether a request is of a FHIR client: by what it sends, or by what it accepts.
pub(super) fn is_spoken(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CONTENT_TYPE).iter().chain(headers.get_all(ACCEPT));
    fields.filter_map(|value| value.to_str().ok()).any(|value| value.to_ascii_lowercase().contains("application/fhir+"))
}

/// Conditions that are not looked at must not be passed over.
pub(super) fn refuse_conditions(headers: &HeaderMap) -> Result<(), Problem> {
    let conditions = [IF_MATCH.as_str(), IF_NONE_MATCH.as_str(), "if-none-exist"];
    match conditions.into_iter().find(|name| headers.contains_key(*name)) {
        Some(name) => {
            Err(Problem::new(ProblemType::Invalid, format!("{name}: expected none: conditions are not supported here")))
        }
        None => Ok(()),
    }
}

/// A failure as `OperationOutcome`; `within` is the type of the resource that its pointers are in, if that is known.
pub(super) fn failure(failure: ProblemResponse, within: &str) -> Response {
    let body = encode(&OperationOutcome { issue: issues(failure.problem(), within) });
    refuse(failure, body)
}

fn refuse(failure: ProblemResponse, body: Vec<u8>) -> Response {
    let mut response = failure.into_response();
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(CONTENT_TYPE, FHIR_JSON);
    response
}

/// Takes a resource or a bundle.
pub(super) async fn take(
    app: &Arc<App>,
    sender: &Sender,
    body: Bytes,
) -> Result<(Response, Remaining), ProblemResponse> {
    let text = body.clone();
    match sender.away(move || Bundle::read(&text)).await? {
        None => one(app, sender, body).await,
        Some(Bundle { entries, .. }) if entries.is_empty() => {
            Err(Problem::new(ProblemType::Invalid, "Expected a Bundle with at least one entry").into())
        }
        Some(Bundle { kind: BundleType::Batch, entries }) => {
            let (mut answers, remaining) = paced(app, sender, numbered(entries)).await?;
            name_versions(&mut answers, "/resource");
            Ok((bundle_response("batch-response", answers).await, remaining))
        }
        Some(Bundle { kind: BundleType::Transaction, entries }) => transaction(app, sender, entries).await,
    }
}

async fn one(app: &Arc<App>, sender: &Sender, body: Bytes) -> Result<(Response, Remaining), ProblemResponse> {
    let mut answers = commit(app, sender, vec![(1, Input::Fhir(body))], Atomicity::Each).await;
    name_versions(&mut answers, "");
    let answer = answers.into_iter().next().unwrap_or_default();
    let response = match answer.problem {
        Some(problem) => failure(problem.into(), resource_type(answer.id.as_deref())),
        None => {
            let mut response = respond(status(&answer), encode(&outcome(&answer)));
            let location = location(&answer).and_then(|location| HeaderValue::try_from(location).ok());
            response.headers_mut().extend(location.map(|location| (LOCATION, location)));
            response
        }
    };
    Ok((response, sender.remaining))
}

async fn transaction(
    app: &Arc<App>,
    sender: &Sender,
    entries: Vec<Input>,
) -> Result<(Response, Remaining), ProblemResponse> {
    if entries.len() > BATCH_ROWS {
        let detail = format!("A transaction may have up to {BATCH_ROWS} entries; send more as a batch");
        return Err(Problem::new(ProblemType::TooLarge, detail).into());
    }
    let remaining = sender.pay(app, entries.len())?;
    let mut answers = commit(app, sender, numbered(entries), Atomicity::AllOrNone).await;
    name_versions(&mut answers, "/resource");
    let faults = || answers.iter().filter_map(|answer| Some((answer, answer.problem.as_ref()?)));
    let response = match faults().next() {
        Some((_, first)) => {
            let issue = faults().flat_map(|(answer, problem)| issues(problem, &within(answer))).collect();
            refuse(first.clone().into(), encode(&OperationOutcome { issue }))
        }
        None => bundle_response("transaction-response", answers).await,
    };
    Ok((response, remaining))
}

/// What a conflict is about in FHIR's terms; `resource` points to the resource.
fn name_versions(answers: &mut [RowAnswer], resource: &str) {
    let problems = answers.iter_mut().filter_map(|answer| answer.problem.as_mut());
    for problem in problems.filter(|problem| problem.kind == ProblemType::Conflict) {
        let expected = "another content was accepted under this id and version: expected a correction to have a higher \
            meta.versionId or, where that is no number, a later meta.lastUpdated";
        problem.errors = vec![FieldError::new(format!("{resource}/meta/versionId"), expected)];
    }
}

fn numbered(entries: Vec<Input>) -> Vec<(usize, Input)> {
    (1..).zip(entries).collect()
}

/// Written elsewhere than among the requests of this thread: of many entries it is megabytes.
async fn bundle_response(kind: &'static str, answers: Vec<RowAnswer>) -> Response {
    let write = move || encode(&BundleAnswer { kind, entry: &answers });
    let body = tokio::task::spawn_blocking(write).await.expect("an answer always encodes");
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

/// One after the other: there is never more than one beside the text.
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

/// 201 for what is new, 200 for what changes nothing.
fn status(answer: &RowAnswer) -> StatusCode {
    let refused = answer.problem.as_ref().map(|problem| problem.kind.status());
    match (refused, answer.status) {
        (Some(status), _) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (None, Status::Accepted) => StatusCode::CREATED,
        (None, Status::Duplicate | Status::Ignored | Status::Rejected) => StatusCode::OK,
    }
}

/// Of what was taken: its id and version. There is nothing to be read there.
fn location(answer: &RowAnswer) -> Option<String> {
    let id = answer.id.as_deref().filter(|_| answer.status == Status::Accepted)?;
    Some(format!("{id}/_history/{}", answer.revision))
}

fn outcome(answer: &RowAnswer) -> OperationOutcome<'_> {
    let issue = match (&answer.problem, answer.status, &answer.reason) {
        (Some(problem), ..) => issues(problem, &within(answer)),
        (None, Status::Ignored, Some(reason)) => vec![Issue::information(format!("ignored: {reason}"))],
        (None, Status::Duplicate, _) => vec![Issue::information("duplicate: it had been accepted before")],
        (None, Status::Accepted | Status::Ignored | Status::Rejected, _) => vec![Issue::information("accepted")],
    };
    OperationOutcome { issue }
}

/// Where an entry stands in its bundle.
fn within(answer: &RowAnswer) -> String {
    format!("Bundle.entry[{}]", answer.row - 1)
}

fn resource_type(id: Option<&str>) -> &str {
    id.and_then(|id| id.split('/').next()).unwrap_or_default()
}
