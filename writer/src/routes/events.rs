//! `POST /v1/events`: one event as JSON, or many rows with one result each.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use yima_schema::limits::{MAX_BODY_BYTES, MAX_ROWS};
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::{Failure, body};
use yima_service::rate::Remaining;

use super::rows::{RowAnswer, commit, line_numbers};
use crate::app::App;
use crate::ingest::Dialect;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const FHIR_NDJSON: &str = "application/fhir+ndjson";

/// Rows committed together: enough to share a disk sync, few enough to answer soon and to bound memory.
const BATCH_ROWS: usize = 2_000;

/// Takes events. An answer of `accepted` or `duplicate` means: durable, folded into the view and published to the region.
///
/// # Errors
/// 400, 401, 403, 408, 409, 413, 415, 429, 503; for many rows each has its own.
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let agency: Arc<str> = app.agency(request.headers())?.into();
    let content_type = body::content_type(request.headers(), &[JSON, NDJSON, FHIR_NDJSON])?;
    let body = body::read_body(request.into_body(), MAX_BODY_BYTES, app.config.body_timeout).await?;
    let (mut response, remaining) = match content_type {
        NDJSON => many(&app, &agency, Dialect::Event, body).await?,
        FHIR_NDJSON => many(&app, &agency, Dialect::Fhir, body).await?,
        _ => one(&app, &agency, body).await?,
    };
    app.events.describe(remaining, response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn one(app: &Arc<App>, agency: &Arc<str>, body: Bytes) -> Result<(Response, Remaining), Failure> {
    let remaining = take(app, agency, 1)?;
    let answers = commit(app, agency, Dialect::Event, vec![(1, body)]).await;
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

async fn many(
    app: &Arc<App>,
    agency: &Arc<str>,
    dialect: Dialect,
    body: Bytes,
) -> Result<(Response, Remaining), Failure> {
    // Counted before anything is made of them: a row can be two bytes.
    if body.iter().filter(|b| **b == b'\n').count() >= MAX_ROWS {
        return Err(Problem::new(ProblemType::TooLarge, format!("A body may have up to {MAX_ROWS} rows")).into());
    }
    let rows = line_numbers(&body);
    if rows.is_empty() {
        return Err(Problem::new(ProblemType::Malformed, "Expected one JSON document a line").into());
    }
    let mut answer = Vec::with_capacity(rows.len() * 48);
    let mut remaining = Remaining(0);
    for (at, batch) in rows.chunks(BATCH_ROWS).enumerate() {
        let cost = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        remaining = match app.events.check(app.events.key(agency), cost) {
            Ok(remaining) => remaining,
            // Refused as a whole or not at all: once a row is taken, the rest is paced.
            Err(refused) if at == 0 => return Err(app.events.refusal(refused)),
            Err(mut refused) => loop {
                tokio::time::sleep(refused.retry_after).await;
                match app.events.check(app.events.key(agency), cost) {
                    Ok(remaining) => break remaining,
                    Err(again) => refused = again,
                }
            },
        };
        for row in commit(app, agency, dialect, batch.to_vec()).await {
            serde_json::to_writer(&mut answer, &row).expect("a row's answer always encodes");
            answer.push(b'\n');
        }
    }
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok(((content_type, answer).into_response(), remaining))
}

fn take(app: &App, agency: &str, rows: u32) -> Result<Remaining, Failure> {
    app.events.take(app.events.key(agency), rows)
}
