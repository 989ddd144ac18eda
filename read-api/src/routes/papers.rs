//! `/v1/paper`: a code to be printed, for who has no phone at hand. It names its holder and no colour, lasts for weeks,
//! and can be copied: a scan finds the live view, and asks for the identity document.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::code::{Claims, Handle, Paper, Validity};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_service::http::ProblemResponse;

use super::phones::hex_id;
use crate::app::App;
use crate::headers::private;

/// A printed code. The holder's name and document number are masked, as on the print.
#[derive(Serialize, ToSchema)]
struct PaperBody {
    /// To be printed as one QR code in alphanumeric mode.
    code: String,
    /// By which it is revoked, 16 hexadecimal digits: to be printed beside it.
    number: String,
    name: Option<String>,
    document: Option<String>,
    issued_at: Time,
    expires_at: Time,
}

/// A code to be printed, valid for `paper_lifetime_s`. Each call makes another one with a number of its own; nothing is
/// stored.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/paper",
    operation_id = "paper",
    tag = "citizen",
    security(("session" = [])),
    params(("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own")),
    responses((status = 200, body = PaperBody))
)]
pub async fn paper(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.paper.take(presenter.limit_key(), 1)?;
    let answer = app.look_up_shown(&presenter, &request).await?;
    let view = answer.entry.view();
    let validity = Validity::of_bare(now, presenter.lifetime(&view, app.paper_lifetime, now)?);
    let paper = Paper::of(&view);
    let claims = Claims::of_paper(app.region.clone(), validity, paper.clone());
    let claims = Claims { guardian: presenter.ward.is_some(), ..claims };
    let number = rand::random();
    let handle = Handle { subject: presenter.subject(), version: answer.entry.version(), phone: Some(number) };
    let code = app.keyring.load().issue(&claims, &handle, &app.tokens)?.bare();
    let Validity { issued_at, expires_at, .. } = validity;
    let Paper { name, document } = paper;
    let body = PaperBody { code, number: format!("{number:016x}"), name, document, issued_at, expires_at };
    Ok(private(&app.limits.paper, remaining, axum::Json(body).into_response()))
}

/// Revokes a printed code by its number: on this node at once and elsewhere as soon as it is known there.
/// `DELETE /v1/sessions` revokes all that were printed until then.
///
/// # Errors
/// 401, 403, 404, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/papers/{number}",
    operation_id = "end_paper",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("number" = String, Path, description = "16 hexadecimal digits, as printed beside the code"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
    ),
    responses(
        (status = 204, description = "The printed code has ended"),
        (status = 404, description = "No such number")
    )
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Path(number): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.session_end.take(presenter.limit_key(), 1)?;
    let number = hex_id(&number).ok_or_else(|| {
        Problem::new(ProblemType::NotFound, "The number of a printed code has 16 hexadecimal digits, in lower case")
    })?;
    app.look_up_shown(&presenter, &request).await?;
    app.end_paper(presenter.subject(), number, now).await?;
    Ok(private(&app.limits.session_end, remaining, StatusCode::NO_CONTENT.into_response()))
}
