//! `GET /v1/results`: tests and vaccination on their own, for who asks for them while displays are without.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_service::http::ProblemResponse;

use crate::app::App;
use crate::body::{TestBody, VaccinationBody, tests, vaccination};

#[derive(Serialize, ToSchema)]
struct ResultsBody<'a> {
    /// Newest first.
    tests: Vec<TestBody<'a>>,
    vaccination: VaccinationBody,
}

/// Tests and vaccination of a display, which a busy service leaves out there.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/results",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "The display's `ETag`: no older results are sent"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose results they are; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event"),
    ),
    responses((status = 200, body = ResultsBody))
)]
pub async fn results(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.history.take(presenter.limit_key(), 1)?;
    let answer = app.look_up_shown(&presenter, &request).await?;
    let view = answer.entry.view();
    let body = ResultsBody { tests: tests(&view), vaccination: vaccination(&view) };
    let mut response = axum::Json(body).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    app.limits.history.describe(remaining, response.headers_mut());
    Ok(response)
}
