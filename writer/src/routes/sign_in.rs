//! Sign-in at the identity provider's page, for people of agencies: as on the read service's port, with one page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use yima_schema::agency_session::AgencySession;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_service::http::ProblemResponse;
use yima_service::jwt;
use yima_service::oidc::{Finished, Page, Trouble, is_own_page, redirect};

use crate::app::App;

/// Not part of the API: redirects, and what only this port's page asks.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/sign-in", get(begin))
        .route("/sign-in/callback", get(finish))
        .route("/sign-in/agency", get(kept))
        .route("/sign-out", get(leave).post(forget))
        .with_state(app)
}

async fn begin(State(app): State<Arc<App>>, RawQuery(query): RawQuery, request: HeaderMap) -> Response {
    let Some(sign_in) = &app.sign_in else { return not_offered().into_response() };
    let begun = sign_in.begin(query.as_deref()).await;
    begun.unwrap_or_else(|trouble| sign_in.failed(Page::Agency, trouble, &request))
}

async fn finish(State(app): State<Arc<App>>, RawQuery(query): RawQuery, request: HeaderMap) -> Response {
    let Some(sign_in) = &app.sign_in else { return not_offered().into_response() };
    if app.checks.take_shared().is_err() {
        return sign_in.failed(Page::Agency, Trouble::Busy { retry_after_s: 5 }, &request);
    }
    match sign_in.finish(&app.identity_provider, &request, query.as_deref()).await {
        Ok(Finished { page, claims }) => match app.start_session(&claims) {
            Ok((_, token)) => sign_in.signed_in(page, &token, app.agency_session),
            Err(_) => sign_in.failed(page, Trouble::WrongRole, &request),
        },
        Err((page, trouble)) => sign_in.failed(page, trouble, &request),
    }
}

/// What the page learns when it opens without a session of its own.
#[derive(Serialize)]
struct Kept {
    /// Whether people sign in at the provider's page.
    offered: bool,
    /// The session that the browser keeps.
    session: Option<SessionBody>,
}

#[derive(Serialize)]
struct SessionBody {
    session: String,
    expires_at: Time,
    agency: String,
}

/// Hands the session in the cookie to the page, which sends it as every client sends its token.
async fn kept(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let Some(sign_in) = &app.sign_in else {
        return Ok(uncached(Json(Kept { offered: false, session: None })));
    };
    if !is_own_page(&request) {
        return Err(Problem::new(ProblemType::Forbidden, "Only this port's own page may ask for its session").into());
    }
    let token = sign_in.kept_session(Page::Agency, &request);
    let session = token.and_then(|token| {
        let AgencySession { expires_at, agency, .. } = app.session(token)?;
        Some(SessionBody { session: token.to_owned(), expires_at, agency })
    });
    let is_over = token.is_some() && session.is_none();
    let mut response = uncached(Json(Kept { offered: true, session }));
    if is_over {
        response.headers_mut().insert(SET_COOKIE, sign_in.forget(Page::Agency));
    }
    Ok(response)
}

/// Where the page goes after a sign-out.
#[derive(Serialize)]
struct Forgotten {
    /// The provider's own sign-out; null if the browser keeps another session, or none.
    location: Option<String>,
}

/// Forgets the session in `Authorization`, if the browser keeps it.
async fn forget(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let token = jwt::bearer(&request)?;
    let kept = app.sign_in.as_ref().filter(|sign_in| sign_in.kept_session(Page::Agency, &request) == Some(token));
    let Some(sign_in) = kept else { return Ok(uncached(Json(Forgotten { location: None }))) };
    let mut response = uncached(Json(Forgotten { location: sign_in.sign_out_address(Page::Agency) }));
    response.headers_mut().insert(SET_COOKIE, sign_in.forget(Page::Agency));
    Ok(response)
}

/// Forgets what the browser keeps, and leads to the provider's own sign-out.
async fn leave(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let sign_in = app.sign_in.as_ref().ok_or_else(not_offered)?;
    let is_kept = sign_in.kept_session(Page::Agency, &request).is_some();
    let address = sign_in.sign_out_address(Page::Agency).filter(|_| is_kept);
    Ok(redirect(address.as_deref().unwrap_or(Page::Agency.path()), [sign_in.forget(Page::Agency)]))
}

fn not_offered() -> ProblemResponse {
    let detail = "Nobody signs in here by redirect: identity_provider.client_id and writer.public_url are not set";
    Problem::new(ProblemType::NotFound, detail).into()
}

fn uncached(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
