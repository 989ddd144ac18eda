//! Sign-in at the identity provider's page, for browsers: `/sign-in` leads there, `/sign-in/callback` comes back with a
//! session in a cookie, which opens `/sign-in/{page}` and nothing else; `/sign-out` forgets it and leads to the
//! provider's own end.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::session::{Holder, Session};
use yima_schema::view::Version;
use yima_service::http::ProblemResponse;
use yima_service::jwt;
use yima_service::oidc::{Finished, Page, Trouble, is_own_page, redirect};

use super::sessions::{self, SessionBody};
use crate::app::{App, Citizen};

const PAGES: &[Page] = Page::READING;

/// Not part of the API: redirects, and what only this port's pages ask.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/sign-in", get(begin))
        .route("/sign-in/callback", get(finish))
        .route("/sign-in/{page}", get(kept))
        .route("/sign-out", get(leave).post(forget))
        .with_state(app)
}

async fn begin(State(app): State<Arc<App>>, RawQuery(query): RawQuery, request: HeaderMap) -> Response {
    let Some(sign_in) = &app.sign_in else { return not_offered().into_response() };
    let page = sign_in.page(query.as_deref()).unwrap_or(PAGES[0]);
    if app.limits.sign_in.is_spent() {
        return sign_in.failed(page, Trouble::Busy { retry_after_s: 5 }, &request);
    }
    let begun = sign_in.begin(query.as_deref()).await;
    begun.unwrap_or_else(|trouble| sign_in.failed(page, trouble, &request))
}

async fn finish(State(app): State<Arc<App>>, RawQuery(query): RawQuery, request: HeaderMap) -> Response {
    let Some(sign_in) = &app.sign_in else { return not_offered().into_response() };
    if app.limits.sign_in.take_shared().is_err() {
        return sign_in.failed(PAGES[0], Trouble::Busy { retry_after_s: 5 }, &request);
    }
    let Finished { page, claims } = match sign_in.finish(&app.identity_provider, &request, query.as_deref()).await {
        Ok(finished) => finished,
        Err((page, trouble)) => return sign_in.failed(page, trouble, &request),
    };
    let now = (app.clock)();
    match sessions::start(&app, &claims, now) {
        Ok((session, token, _)) if is_for(page, &session) => {
            sign_in.signed_in(page, &token, session.expires_at.since(now))
        }
        Ok(_) => sign_in.failed(page, Trouble::WrongRole, &request),
        Err(refused) => {
            let problem = refused.problem();
            let trouble = match problem.retry_after_s {
                Some(retry_after_s) => Trouble::Busy { retry_after_s },
                None => Trouble::WrongRole,
            };
            sign_in.failed(page, trouble, &request)
        }
    }
}

/// What a page learns when it opens without a session of its own.
#[derive(Serialize)]
struct Kept<'a> {
    /// Whether people sign in at the provider's page.
    offered: bool,
    /// The session that the browser keeps.
    session: Option<SessionBody<'a>>,
}

/// Hands the session in the cookie to the page, which sends it as every client does. So no cookie moves anything here,
/// and no other site can send a request in a person's name.
async fn kept(
    State(app): State<Arc<App>>,
    Path(page): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let page = PAGES.iter().copied().find(|known| known.name() == page);
    let page = page.ok_or_else(|| Problem::new(ProblemType::NotFound, "No page of this port has this name"))?;
    let Some(sign_in) = &app.sign_in else {
        return Ok(uncached(Json(Kept { offered: false, session: None })));
    };
    if !is_own_page(&request) {
        return Err(Problem::new(ProblemType::Forbidden, "Only this port's own page may ask for its session").into());
    }
    let Some(token) = sign_in.kept_session(page, &request) else {
        return Ok(uncached(Json(Kept { offered: true, session: None })));
    };
    let now = (app.clock)();
    let session = app.session_of(token, now).ok().filter(|session| is_for(page, session));
    let session = match session {
        Some(session) if !has_ended(&app, &session).await? => session,
        Some(_) | None => {
            let mut response = uncached(Json(Kept { offered: true, session: None }));
            response.headers_mut().insert(SET_COOKIE, sign_in.forget(page));
            return Ok(response);
        }
    };
    Ok(uncached(Json(Kept { offered: true, session: Some(SessionBody::of(&session, token.to_owned())) })))
}

/// Whether an event has ended the session. What cannot be looked up now is judged by the display, which is asked next.
async fn has_ended(app: &App, session: &Session) -> Result<bool, ProblemResponse> {
    let Holder::Citizen { subject } = session.holder else { return Ok(false) };
    app.limits.display.take(subject.fingerprint(), 1)?;
    let citizen = Citizen { session: session.clone(), subject };
    let answer = app.look_up(subject, Version::ABSENT, None).await;
    Ok(answer.is_ok_and(|answer| citizen.check(&answer).is_err()))
}

/// Where a page goes after a sign-out.
#[derive(Serialize)]
struct Forgotten {
    /// The provider's own sign-out; null if the browser keeps another session, or none.
    location: Option<String>,
}

/// Forgets the session in `Authorization`, which the page has ended, if the browser keeps it.
async fn forget(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let token = jwt::bearer(&request)?;
    let found = app.sign_in.as_ref().and_then(|sign_in| {
        let page = PAGES.iter().copied().find(|page| sign_in.kept_session(*page, &request) == Some(token))?;
        Some((sign_in, page))
    });
    let Some((sign_in, page)) = found else { return Ok(uncached(Json(Forgotten { location: None }))) };
    let mut response = uncached(Json(Forgotten { location: sign_in.sign_out_address(page) }));
    response.headers_mut().insert(SET_COOKIE, sign_in.forget(page));
    Ok(response)
}

/// Ends what the browser keeps of this port's pages. A link on another site does nothing: the cookies do not come with
/// it (`SameSite=Strict`).
async fn leave(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let sign_in = app.sign_in.as_ref().ok_or_else(not_offered)?;
    let now = (app.clock)();
    let mut left = None;
    for page in PAGES {
        let Some(token) = sign_in.kept_session(*page, &request) else { continue };
        left = left.or(Some(*page));
        let Ok(session) = app.session_of(token, now) else { continue };
        if let Holder::Citizen { subject } = session.holder {
            app.limits.session_end.take(subject.fingerprint(), 1)?;
            app.end_session(subject, &session, now).await?;
        }
    }
    let address = left.and_then(|page| sign_in.sign_out_address(page));
    let forgotten = PAGES.iter().map(|page| sign_in.forget(*page));
    Ok(redirect(address.as_deref().unwrap_or(left.unwrap_or(PAGES[0]).path()), forgotten))
}

fn is_for(page: Page, session: &Session) -> bool {
    match session.holder {
        Holder::Citizen { .. } => page == Page::Citizen,
        Holder::Checkpoint { .. } => page == Page::Checkpoint,
    }
}

fn not_offered() -> ProblemResponse {
    let detail = "Nobody signs in here by redirect: identity_provider.client_id and read_api.public_url are not set";
    Problem::new(ProblemType::NotFound, detail).into()
}

fn uncached(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
