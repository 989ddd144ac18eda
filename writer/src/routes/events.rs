//! `POST /v1/events`: one event as JSON, or many rows with one result each; resources and bundles for who speaks FHIR.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use yima_schema::limits::{MAX_BODY_BYTES, MAX_ROWS};
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::{Failure, body};
use yima_service::rate::Remaining;

use super::fhir;
use super::rows::{Keep, RowAnswer, commit, paced};
use crate::app::App;
use crate::ingest::{Input, csv};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const FHIR_JSON: &str = "application/fhir+json";
const FHIR_NDJSON: &str = "application/fhir+ndjson";

/// Takes events. An answer of `accepted` or `duplicate` means: durable, folded into the view and published to the region.
///
/// Problems: 400, 401, 403, 408, 409, 413, 415, 429, 503, as `OperationOutcome` for who speaks FHIR; for many rows each has its own.
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    let speaks_fhir = fhir::is_spoken(request.headers());
    match take(&app, request).await {
        Ok(response) => response,
        Err(failure) if speaks_fhir => fhir::failure(failure, ""),
        Err(failure) => failure.into_response(),
    }
}

async fn take(app: &Arc<App>, request: Request) -> Result<Response, Failure> {
    let agency: Arc<str> = app.agency(request.headers())?.into();
    let content_type = content_type(request.headers())?;
    let body = body::read_body(request.into_body(), MAX_BODY_BYTES, app.config.body_timeout).await?;
    let (mut response, remaining) = match content_type {
        NDJSON => many(app, &agency, lines(&body, Input::Event)?).await?,
        FHIR_NDJSON => many(app, &agency, lines(&body, Input::Fhir)?).await?,
        CSV => {
            let records = tokio::task::spawn_blocking(move || csv::records(&body)).await;
            many(app, &agency, records.expect("reading CSV does not panic")?).await?
        }
        FHIR_JSON => fhir::take(app, &agency, body).await?,
        _ => one(app, &agency, body).await?,
    };
    app.events.describe(remaining, response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn content_type(headers: &HeaderMap) -> Result<&'static str, Problem> {
    body::content_type(headers, &[JSON, NDJSON, CSV, FHIR_JSON, FHIR_NDJSON])
}

async fn one(app: &Arc<App>, agency: &Arc<str>, body: Bytes) -> Result<(Response, Remaining), Failure> {
    let remaining = app.events.take(app.events.key(agency), 1)?;
    let answers = commit(app, agency, vec![(1, Input::Event(body))], Keep::Each).await;
    let RowAnswer { id, status, reason, problem, .. } = answers.into_iter().next().unwrap_or_default();
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    let mut body = serde_json::json!({ "id": id, "status": status });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    Ok((axum::Json(body).into_response(), remaining))
}

/// The lines of a body that have something in them, with their numbers from 1. Slices of the body, no copies.
fn lines(body: &Bytes, input: impl Fn(Bytes) -> Input) -> Result<Vec<(usize, Input)>, Problem> {
    // Counted before anything is made of them: a row can be two bytes.
    if body.iter().filter(|b| **b == b'\n').count() >= MAX_ROWS {
        return Err(Problem::new(ProblemType::TooLarge, format!("A body may have up to {MAX_ROWS} rows")));
    }
    let lines = (1..).zip(body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii));
    Ok(lines.filter(|(_, line)| !line.is_empty()).map(|(n, line)| (n, input(body.slice_ref(line)))).collect())
}

async fn many(app: &Arc<App>, agency: &Arc<str>, rows: Vec<(usize, Input)>) -> Result<(Response, Remaining), Failure> {
    if rows.is_empty() {
        let expected = "Expected one JSON document a line, or CSV with a header and at least one record";
        return Err(Problem::new(ProblemType::Malformed, expected).into());
    }
    let (answers, remaining) = paced(app, agency, rows).await?;
    let mut answer = Vec::with_capacity(answers.len() * 48);
    for row in answers {
        serde_json::to_writer(&mut answer, &row).expect("a row's answer always encodes");
        answer.push(b'\n');
    }
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok(((content_type, answer).into_response(), remaining))
}
