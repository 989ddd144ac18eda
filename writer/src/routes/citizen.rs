//! `POST /internal/v1/citizen-events`: an event that a citizen wrote, from a read service of this system.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use yima_schema::problem::{Problem, ProblemType};
use yima_service::http::{ProblemResponse, body};

use crate::app::App;

const OCTETS: &str = "application/octet-stream";
/// Largest body, in bytes; an event that ends sixteen sessions has about 600.
const MAX_BODY: usize = 8_192;
/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes a sealed event, and seals the answer.
///
/// # Errors
/// 401 for a body that no read service has sealed; 403, 408, 409, 413, 415, 503.
pub async fn take(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    body::content_type(request.headers(), &[OCTETS])?;
    let body = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    let event = app.handover.open_event(&body).ok_or_else(|| {
        Problem::new(ProblemType::Unauthenticated, "Only a read service of this system can hand events over")
    })?;
    let id = event.id.clone();
    let freshness = app.take_from_citizen(event).await?;
    let headers = [(CONTENT_TYPE, OCTETS), (CACHE_CONTROL, "no-store")];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, app.handover.seal_answer(id, freshness)).into_response())
}
