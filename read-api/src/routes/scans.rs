//! `POST /v1/scans`: checks many codes in one request, such as those of a gate with several lanes. Each code gets the
//! verdict that it would get alone; views that memory does not have are loaded with one call of the store.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::{ProblemResponse, body};

use super::checkpoint::{Checkpoint, ScanBody, Target};
use super::scan::BODY_TIMEOUT;
use crate::app::{App, lookup_problem};
use crate::at_least;
use crate::cache::Answer;

/// Codes in one request.
const MAX_CODES: usize = 100;
/// Largest body, in bytes.
const MAX_BODY: usize = 65_536;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScansRequest {
    #[schema(min_items = 1, max_items = 100)]
    codes: Vec<String>,
}

/// Results in the order of the codes.
#[derive(Serialize, ToSchema)]
struct ScansBody<'a> {
    results: Vec<ResultBody<'a>>,
}

/// The body that the code would get alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ResultBody<'a> {
    Verdict(Box<ScanBody<'a>>),
    Problem { problem: &'a Problem },
}

/// A target, or an answer that needs no lookup.
type Resolved = Result<Target, Box<ScanBody<'static>>>;

/// The outcome of one code.
enum Checked {
    /// Taken when the answer is written.
    Answered(Option<Box<ScanBody<'static>>>),
    Found(Target, Answer, Box<View>),
    Failed(Problem),
}

/// Verdicts.
///
/// # Errors
/// 400, 401, 403, 408, 413, 415, 429. A code whose view cannot be looked up now has a problem in its place.
#[utoipa::path(
    post,
    path = "/v1/scans",
    tag = "checkpoint",
    security(("session" = [])),
    request_body(content = ScansRequest, example = json!({"codes": ["YM1:6BF5V0", "YM1:6BF5V1"]})),
    responses((status = 200, body = ScansBody))
)]
pub async fn scans(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let checkpoint = Checkpoint::of(&app, request.headers(), now)?;
    // One before the body is read, so that requests without one are limited too.
    let limit = &app.limits.scan;
    let remaining = limit.take(limit.key(&checkpoint.name), 1)?;
    at_least::refuse(request.headers())?;
    body::content_type(request.headers(), &["application/json"])?;
    let bytes = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    let ScansRequest { codes } = body::object(&bytes)?;
    if !(1..=MAX_CODES).contains(&codes.len()) {
        let expected = format!("expected 1 to {MAX_CODES} codes");
        return Err(Problem::invalid(vec![FieldError::new("/codes", expected)]).into());
    }
    let remaining = limit
        .check_rest(limit.key(&checkpoint.name), codes.len() as u32, remaining)
        .map_err(|error| limit.refusal(error))?;
    checkpoint.pay_for_foreign(&app, codes.iter().map(String::as_str))?;

    let checkpoint = Arc::new(checkpoint);
    let targets = resolve_all(&app, &checkpoint, codes, now).await;
    let mut checked = look_up_all(&app, targets).await;
    let results = checked.iter_mut().map(|checked| match checked {
        Checked::Answered(body) => ResultBody::Verdict(body.take().expect("each answer is taken once")),
        Checked::Found(target, answer, view) => {
            ResultBody::Verdict(Box::new(checkpoint.judge(&app, target, answer, view, now)))
        }
        Checked::Failed(problem) => ResultBody::Problem { problem },
    });
    let mut response = axum::Json(ScansBody { results: results.collect() }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    limit.describe(remaining, response.headers_mut());
    Ok(response)
}

/// Resolves the codes away from the workers that serve displays: a hundred signatures take some milliseconds.
async fn resolve_all(app: &Arc<App>, checkpoint: &Arc<Checkpoint>, codes: Vec<String>, now: Time) -> Vec<Resolved> {
    let (app, checkpoint) = (Arc::clone(app), Arc::clone(checkpoint));
    let resolved = tokio::task::spawn_blocking(move || {
        codes.iter().map(|code| checkpoint.resolve_code(&app, code, now)).collect()
    });
    resolved.await.expect("resolving a code does not panic, and its task is never cancelled")
}

async fn look_up_all(app: &App, targets: Vec<Resolved>) -> Vec<Checked> {
    let lookups: Vec<_> = targets.iter().flatten().map(|target| (target.subject, target.floor)).collect();
    let mut answers = app.views.get_many(&lookups).await.into_iter();
    let mut checked = |target| match answers.next().expect("an answer for each target") {
        Ok(answer) => {
            let view = answer.entry.view();
            Checked::Found(target, answer, Box::new(view))
        }
        Err(error) => Checked::Failed(lookup_problem(error)),
    };
    targets.into_iter().map(|target| target.map_or_else(|body| Checked::Answered(Some(body)), &mut checked)).collect()
}
