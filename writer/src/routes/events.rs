//! `POST /v1/events`: one event as JSON, or many rows with one result each; resources and bundles for who speaks FHIR.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::limits::{MAX_BODY_BYTES, MAX_ROWS};
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::{ProblemResponse, body};
use yima_service::rate_limit::Remaining;

use super::fhir;
use super::rows::{Atomicity, RowAnswer, Status, commit, paced};
use super::sender::Sender;
use crate::app::App;
use crate::ingest::shape::Event;
use crate::ingest::{Input, csv};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const FHIR_JSON: &str = "application/fhir+json";
const FHIR_NDJSON: &str = "application/fhir+ndjson";

const EXAMPLE_NDJSON: &str = r#"{"id":"v-1","kind":"vaccination","subject":{"document_type":"passport","document_number":"E12345678"},"occurred_at":"2026-11-22T07:30:00Z","data":{"vaccine":"208","dose":1}}
{"id":"i-1","kind":"identity","subject":{"document_type":"passport","document_number":"E12345678"},"occurred_at":"2026-11-22T07:30:00Z","data":{"name":"Anna Lee"}}
"#;
const EXAMPLE_CSV: &str = "id,kind,document_type,document_number,occurred_at,test,result\n\
    lab7-000124,test_result,cn_resident_id,610102199003070016,2026-11-23T07:30:00Z,nucleic_acid,negative\n";
const EXAMPLE_FHIR_NDJSON: &str = r#"{"resourceType":"Patient","id":"p-1","name":[{"text":"Anna Lee"}],"birthDate":"1990-03-07"}
"#;

/// What became of one event.
#[derive(Serialize, ToSchema)]
struct EventAnswer {
    id: Option<String>,
    status: Status,
    /// Why it was ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Takes events. An answer of `accepted` or `duplicate` means: durable, folded into the view and published to the region.
///
/// Problems: 400, 401, 403, 408, 409, 413, 415, 429, 503, as `OperationOutcome` for who speaks FHIR; for many rows each has its own.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "send_events",
    tag = "agency",
    security(("identity_token" = [])),
    request_body(content(
        (Event = "application/json", example = json!({
            "id": "lab7-000123", "kind": "test_result",
            "subject": {"document_type": "cn_resident_id", "document_number": "610102199003070016"},
            "occurred_at": "2026-11-22T07:30:00Z", "data": {"test": "nucleic_acid", "result": "negative"}
        })),
        (String = "application/x-ndjson", example = json!(EXAMPLE_NDJSON)),
        (String = "text/csv", example = json!(EXAMPLE_CSV)),
        (Object = "application/fhir+json", example = json!({
            "resourceType": "Observation", "id": "o-1", "status": "final", "subject": {"reference": "Patient/p-1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]},
            "effectiveDateTime": "2026-11-22T07:30:00Z",
            "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260415000"}]}
        })),
        (String = "application/fhir+ndjson", example = json!(EXAMPLE_FHIR_NDJSON)),
    )),
    responses(
        (status = 200, content(
            (EventAnswer = "application/json"), (RowAnswer = "application/x-ndjson"), (Object = "application/fhir+json"),
        )),
        (status = 201, description = "A FHIR resource by itself was accepted", content((Object = "application/fhir+json"))),
    )
)]
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    let speaks_fhir = fhir::is_spoken(request.headers());
    match take(&app, request).await {
        Ok(response) => response,
        Err(failure) if speaks_fhir => fhir::failure(failure, ""),
        Err(failure) => failure.into_response(),
    }
}

async fn take(app: &Arc<App>, request: Request) -> Result<Response, ProblemResponse> {
    let sender = Sender::of(app, request.headers()).await?;
    let content_type = content_type(request.headers())?;
    if content_type == FHIR_JSON {
        fhir::refuse_conditions(request.headers())?;
    }
    let body = body::read_body(request.into_body(), MAX_BODY_BYTES, app.config.body_timeout).await?;
    let (mut response, remaining) = match content_type {
        NDJSON => many(app, &sender, lines(&body, Input::Event)?).await?,
        FHIR_NDJSON => many(app, &sender, lines(&body, Input::Fhir)?).await?,
        CSV => {
            let records = sender.away(move || csv::records(&body)).await?;
            many(app, &sender, records).await?
        }
        FHIR_JSON => fhir::take(app, &sender, body).await?,
        _ => one(app, &sender, body).await?,
    };
    app.events.describe(remaining, response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn content_type(headers: &HeaderMap) -> Result<&'static str, Problem> {
    body::content_type(headers, &[JSON, NDJSON, CSV, FHIR_JSON, FHIR_NDJSON])
}

async fn one(app: &Arc<App>, sender: &Sender, body: Bytes) -> Result<(Response, Remaining), ProblemResponse> {
    let answers = commit(app, sender, vec![(1, Input::Event(body))], Atomicity::Each).await;
    let RowAnswer { id, status, reason, problem, .. } = answers.into_iter().next().unwrap_or_default();
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    Ok((axum::Json(EventAnswer { id, status, reason }).into_response(), sender.remaining))
}

/// The lines of a body that have something in them, with their numbers from 1. Slices of the body, no copies.
fn lines(body: &Bytes, input: impl Fn(Bytes) -> Input) -> Result<Vec<(usize, Input)>, Problem> {
    // Counted before anything is made of them: a row can be two bytes.
    let ended = body.strip_suffix(b"\n").unwrap_or(body);
    if ended.iter().filter(|b| **b == b'\n').count() >= MAX_ROWS {
        return Err(Problem::new(ProblemType::TooLarge, format!("A body may have up to {MAX_ROWS} rows")));
    }
    let lines = (1..).zip(body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii));
    Ok(lines.filter(|(_, line)| !line.is_empty()).map(|(n, line)| (n, input(body.slice_ref(line)))).collect())
}

async fn many(
    app: &Arc<App>,
    sender: &Sender,
    rows: Vec<(usize, Input)>,
) -> Result<(Response, Remaining), ProblemResponse> {
    if rows.is_empty() {
        let expected = "Expected one JSON document a line, or CSV with a header and at least one record";
        return Err(Problem::new(ProblemType::Malformed, expected).into());
    }
    let (answers, remaining) = paced(app, sender, rows).await?;
    // Tens of megabytes at worst.
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::with_capacity(answers.len() * 48);
        for row in answers {
            serde_json::to_writer(&mut answer, &row).expect("a row's answer always encodes");
            answer.push(b'\n');
        }
        answer
    });
    let answer = answer.await.expect("encoding does not panic");
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok(((content_type, answer).into_response(), remaining))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_lines_as_there_may_be_are_taken_with_and_without_their_last_end() {
        let (most, text) = ("1\n".repeat(MAX_ROWS), |rows: &str| Bytes::copy_from_slice(rows.as_bytes()));
        for rows in [most.as_str(), most.trim_end()] {
            assert_eq!(lines(&text(rows), Input::Event).ok().unwrap().len(), MAX_ROWS);
        }
        assert!(lines(&text(&format!("{most}1")), Input::Event).is_err());
    }
}
