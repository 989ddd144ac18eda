//! `POST /v1/scan`: checks one code, or one identity document, against the live view. Every well-formed request gets a
//! verdict, whatever the code is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CACHE_STATUS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use yima_schema::freshness::Freshness;
use yima_schema::time::Time;
use yima_service::http::{ProblemResponse, body};
use yima_service::rate_limit::Remaining;

use super::checkpoint::{Checkpoint, ScanBody, Target};
use super::scan_request::{ScanRequest, Scanned};
use crate::app::{App, lookup_problem};
use crate::at_least::about;

/// Largest body, in bytes: a code has a few hundred characters.
const MAX_BODY: usize = 16_384;
/// How long the body of a scan may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a look-up by document has a multiple of this length, in bytes, and takes a multiple of this time.
/// Nearly all fit into one of each.
const DOCUMENT_BYTES: usize = 2_048;
const DOCUMENT_TIME: Duration = Duration::from_millis(100);

/// A verdict.
///
/// # Errors
/// 400, 401, 403, 408, 413, 415, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/scan",
    tag = "checkpoint",
    security(("session" = [])),
    params(("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event")),
    request_body(content = ScanRequest, example = json!({"code": "YM1:6BF5V0"})),
    responses((status = 200, body = ScanBody))
)]
pub async fn scan(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let checkpoint = Checkpoint::of(&app, request.headers(), now)?;
    let limit = &app.limits.scan;
    let remaining = limit.take(limit.key(&checkpoint.name), 1)?;
    let wants_bypass = wants_bypass(request.headers());
    let at_least = app.at_least(request.headers())?;
    body::content_type(request.headers(), &["application/json"])?;
    let bytes = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    let started = Instant::now();
    let (target, documents) = match body::object::<ScanRequest>(&bytes)?.validate()? {
        Scanned::Code(code) => {
            checkpoint.pay_for_foreign(&app, std::iter::once(code.as_str()))?;
            (checkpoint.resolve_code(&app, &code, now), None)
        }
        Scanned::Document(document) => {
            let (target, remaining) = checkpoint.resolve_document(&app, &document)?;
            (Ok(target), Some(remaining))
        }
    };
    let mut response = match target {
        Err(answer) => axum::Json(answer).into_response(),
        Ok(target) => {
            let at_least = at_least.map(|token| about(target.subject, token)).transpose()?;
            verdict(&app, &checkpoint, &target, at_least, wants_bypass, now).await?
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    limit.describe(remaining, response.headers_mut());
    if let Some(remaining) = documents {
        app.limits.document.describe(remaining, response.headers_mut());
        response = conceal(response, started).await;
    }
    Ok(response)
}

/// Looks the target's view up and judges it. A scan that wants to bypass the cache may do so within a quota.
async fn verdict(
    app: &App,
    checkpoint: &Checkpoint,
    target: &Target,
    at_least: Option<Box<Freshness>>,
    wants_bypass: bool,
    now: Time,
) -> Result<Response, ProblemResponse> {
    let quota = &app.limits.bypass;
    let bypass = wants_bypass.then(|| quota.take(quota.key(&checkpoint.name), 1).ok());
    let answer = match (bypass.flatten(), at_least) {
        (bypass, Some(token)) => app.views.get_at_least(&token, &app.region, target.floor, bypass.is_some()).await,
        (Some(_), None) => app.views.bypass(target.subject, target.floor).await,
        (None, None) => app.views.get(target.subject, target.floor).await,
    };
    let answer = answer.map_err(lookup_problem)?;
    let view = answer.entry.view();
    let mut response = axum::Json(checkpoint.judge(app, target, &answer, &view, now)).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    if let Some(remaining) = bypass {
        quota.describe(remaining.unwrap_or(Remaining(0)), response.headers_mut());
    }
    Ok(response)
}

/// Makes the answer to a look-up by document alike for known and unknown people to everyone who sees its length, its
/// time or the outcome of the cache, but not its content.
async fn conceal(response: Response, started: Instant) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body in memory can be read");
    let mut body = Vec::from(body);
    // White space after a JSON text means nothing (RFC 8259 section 2).
    body.resize(body.len().next_multiple_of(DOCUMENT_BYTES), b' ');
    parts.headers.remove(CACHE_STATUS);
    // Compressed, its length would tell what the white space hides.
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    let passed = started.elapsed().as_millis() / DOCUMENT_TIME.as_millis();
    let slots = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
    tokio::time::sleep_until((started + DOCUMENT_TIME * slots).into()).await;
    Response::from_parts(parts, body.into())
}

/// Whether the client asks for an answer from the store, whatever is cached (RFC 9111 sections 5.2.1.4 and 5.2.1.5).
fn wants_bypass(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(',')).map(str::trim);
    directives.any(|one| one.eq_ignore_ascii_case("no-cache") || one.eq_ignore_ascii_case("no-store"))
}
