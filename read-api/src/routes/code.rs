//! `GET /v1/code`: a signed code for a phone without keys of its own. Rarer and costlier than a display, so it has a
//! limit of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::code::{Claims, Handle, Snapshot, Validity};
use yima_schema::time::Time;
use yima_service::http::ProblemResponse;

use crate::app::App;

/// A code, to be shown as one QR code in alphanumeric mode.
#[derive(Serialize, ToSchema)]
struct CodeBody {
    code: String,
    expires_at: Time,
}

/// A code that is valid for `code_lifetime_s`.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/code",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "The display's `ETag`: the code is of nothing older"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event"),
    ),
    responses((status = 200, body = CodeBody))
)]
pub async fn code(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(request.headers(), now)?;
    let remaining = app.limits.code.take(presenter.limit_key(), 1)?;
    let answer = app.look_up_shown(&presenter, request.headers()).await?;
    let view = answer.entry.view();
    let validity = Validity::of_bare(now, presenter.lifetime(&view, app.code_lifetime, now)?);
    let claims = Claims {
        issuer: app.region.clone(),
        validity,
        phone: None,
        snapshot: Some(Snapshot::of(&view, answer.as_of, now, &validity)),
        paper: None,
        guardian: presenter.ward.is_some(),
    };
    let handle = Handle { subject: presenter.subject(), version: answer.entry.version(), phone: None };
    let code = app.keyring.load().issue(&claims, &handle, &app.tokens)?.bare();
    let mut response = axum::Json(CodeBody { code, expires_at: validity.expires_at }).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    app.limits.code.describe(remaining, response.headers_mut());
    Ok(response)
}
