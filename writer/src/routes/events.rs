//! `POST /v1/events`: one event as JSON, many rows with one result each, FHIR resources and Bundles.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use yima_schema::audit::AuditEntry;
use yima_schema::limits::MAX_BODY_BYTES;
use yima_schema::problem::Problem;
use yima_service::http::{ProblemResponse, body};

use super::fhir::{is_fhir_client, refuse_conditions};
use crate::answer::{self, EventAnswer};
use crate::app::{App, Sender};
use crate::decode::openapi::Event;
use crate::decode::upload::{MediaType, Upload};
use crate::intake::{Receipt, RowAnswer, RowStatus};

const EXAMPLE_NDJSON: &str = concat!(
    r#"{"id":"v-1","kind":"vaccination","subject":{"document_type":"passport","document_number":"E12345678"},"#,
    r#""occurred_at":"2026-11-22T07:30:00Z","data":{"vaccine":"208","dose":1}}"#,
    "\n",
    r#"{"id":"i-1","kind":"identity","subject":{"document_type":"passport","document_number":"E12345678"},"#,
    r#""occurred_at":"2026-11-22T07:30:00Z","data":{"name":"Anna Lee"}}"#,
    "\n",
);
const EXAMPLE_CSV: &str = "id,kind,document_type,document_number,occurred_at,test,result\n\
    lab7-000124,test_result,cn_resident_id,610102199003070016,2026-11-23T07:30:00Z,nucleic_acid,negative\n";
const EXAMPLE_FHIR_NDJSON: &str =
    concat!(r#"{"resourceType":"Patient","id":"p-1","name":[{"text":"Anna Lee"}],"birthDate":"1990-03-07"}"#, "\n",);

/// Takes events. An answer of `accepted` or `duplicate` means: durable, folded into the view and published to the
/// region.
///
/// When more send than can be served, 503 has a place in line (`waiting`).
///
/// Problems: 400, 401, 403, 408, 409, 413, 415, 429, 503, as `OperationOutcome` for FHIR clients; of many rows each has
/// its own.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "send_events",
    tag = "agency",
    security(("identity_token" = [])),
    params(("Yima-Ticket" = Option<String>, Header, description = "The `ticket` of a place in line")),
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
            (EventAnswer = "application/json"),
            (RowAnswer = "application/x-ndjson"),
            (Object = "application/fhir+json"),
        )),
        (
            status = 201,
            description = "A single FHIR resource was accepted",
            content((Object = "application/fhir+json"))
        ),
    )
)]
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_fhir_client = is_fhir_client(request.headers());
    match take(&app, request).await {
        Ok(response) => response,
        Err(error) => answer::error(error, is_fhir_client),
    }
}

/// The way of an upload: authenticate, read, split, take, answer.
async fn take(app: &App, request: Request) -> Result<Response, ProblemResponse> {
    let Sender { agency, operator } = app.sender(request.headers())?;
    let submission = app.intake.admit_now(agency.clone().into(), request.headers())?;
    let media_type = media_type(request.headers())?;
    if media_type == MediaType::FhirJson {
        refuse_conditions(request.headers())?;
    }
    let body = body::read_body(request.into_body(), MAX_BODY_BYTES, app.body_timeout).await?;
    let upload = match media_type {
        MediaType::Json => Upload::event(body),
        MediaType::Ndjson | MediaType::Csv | MediaType::FhirJson | MediaType::FhirNdjson => {
            submission.run_blocking(body.len(), move || Upload::split(media_type, body)).await?
        }
    };
    let form = upload.form;
    let Receipt { answers, remaining } = app.intake.take(&submission, upload).await?;
    if let Some(operator) = operator {
        let accepted = answers.iter().filter(|row| row.status == RowStatus::Accepted).count() as u64;
        app.record(AuditEntry::EventsSent { agency, operator, rows: answers.len() as u64, accepted });
    }
    let mut response = answer::render(form, answers).await?;
    app.intake.describe(remaining, response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn media_type(headers: &HeaderMap) -> Result<MediaType, Problem> {
    let name = body::content_type(headers, &MediaType::ALL.map(MediaType::as_str))?;
    let found = MediaType::ALL.into_iter().find(|media_type| media_type.as_str() == name);
    Ok(found.expect("the name is one of the list"))
}
