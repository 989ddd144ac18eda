//! `POST /v1/scans`: what a gate with several lanes has read, checked in one request. Each code gets what it would get alone; people whom
//! memory has not are looked up in one call.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yima_schema::code::Handle;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::{ProblemResponse, body};

use super::scan::{BODY_TIMEOUT, Checkpoint, ScanBody, open, shown};
use crate::app::{App, no_answer};
use crate::cache::Answer;
use crate::verdict::Reason;

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

/// In the order of the codes.
#[derive(Serialize, ToSchema)]
struct ScansBody<'a> {
    results: Vec<ResultBody<'a>>,
}

/// What the code would have been answered alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ResultBody<'a> {
    Verdict(ScanBody<'a>),
    Problem { problem: &'a Problem },
}

/// What a code comes to.
enum Checked {
    Refused(Reason),
    Found(Answer, View),
    Unknown(Problem),
}

/// Verdicts.
///
/// # Errors
/// 400, 401, 403, 408, 413, 415, 429. A code that cannot be looked up now has a problem in its place.
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
    body::content_type(request.headers(), &["application/json"])?;
    let bytes = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    let ScansRequest { codes } = body::object(&bytes)?;
    if !(1..=MAX_CODES).contains(&codes.len()) {
        let expected = format!("expected 1 to {MAX_CODES} codes");
        return Err(Problem::invalid(vec![FieldError::new("/codes", expected)]).into());
    }
    let limit = &app.limits.scan;
    let remaining = limit.take(limit.key(&checkpoint.name), codes.len() as u32)?;

    let opened = open_all(&app, codes, now).await;
    let checked = look_up(&app, opened).await;
    let result = |checked| match checked {
        &Checked::Refused(reason) => ResultBody::Verdict(ScanBody::refusal(reason)),
        Checked::Found(answer, view) => ResultBody::Verdict(checkpoint.judge(answer, view, now)),
        Checked::Unknown(problem) => ResultBody::Problem { problem },
    };
    let mut response = axum::Json(ScansBody { results: checked.iter().map(result).collect() }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    limit.describe(remaining, response.headers_mut());
    Ok(response)
}

/// Apart from those who serve displays: a hundred signatures take some milliseconds.
async fn open_all(app: &Arc<App>, codes: Vec<String>, now: Time) -> Vec<Result<Handle, Reason>> {
    let app = Arc::clone(app);
    let opened = tokio::task::spawn_blocking(move || codes.iter().map(|code| open(&app, code, now)).collect());
    opened.await.expect("opening a code does not panic, and its task is never cancelled")
}

async fn look_up(app: &Arc<App>, opened: Vec<Result<Handle, Reason>>) -> Vec<Checked> {
    let asked: Vec<_> = opened.iter().flatten().map(|handle| (handle.subject, shown(app, handle))).collect();
    let mut answers = app.views.get_many(&asked).await.into_iter();
    let mut next = || match answers.next().expect("an answer for each handle") {
        Ok(answer) => {
            let view = answer.entry.view();
            Checked::Found(answer, view)
        }
        Err(fault) => Checked::Unknown(no_answer(fault)),
    };
    opened.into_iter().map(|opened| opened.map_or_else(Checked::Refused, |_| next())).collect()
}
