//! `POST /v1/sessions`: exchanges an identity token for a session, so that the hot path never verifies a signature.
//! `DELETE` ends one session of a citizen, or all.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::audit::AuditEntry;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::session::{Holder, ScanRole, Session};
use yima_schema::subject::Document;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::http::{ProblemResponse, body};
use yima_service::jwt::{self, Claims, Scope};
use yima_service::rate_limit::Remaining;

use crate::app::{App, Citizen};

/// A session, to be sent as the bearer token until it expires.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionBody<'a> {
    session: String,
    expires_at: Time,
    /// Absent for a citizen.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointBody<'a>>,
}

/// The checkpoint that the session is of, as its identity token names it.
#[derive(Serialize, ToSchema)]
struct CheckpointBody<'a> {
    name: &'a str,
    /// The policy: a negative nucleic-acid test no older than this many hours; null if no test is required.
    require_test_within_h: Option<u16>,
    looks_up_documents: bool,
    /// What it is shown of the people.
    role: ScanRole,
}

impl<'a> SessionBody<'a> {
    /// The session with its sealed form.
    pub(super) fn of(session: &'a Session, token: String) -> Self {
        let checkpoint = match &session.holder {
            Holder::Citizen { .. } => None,
            Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator: _ } => {
                Some(CheckpointBody {
                    name: checkpoint,
                    require_test_within_h: *require_test_within_h,
                    looks_up_documents: *looks_up_documents,
                    role: *role,
                })
            }
        };
        Self { session: token, expires_at: session.expires_at, checkpoint }
    }
}

/// A session for the holder of the identity token in `Authorization`. When more sign in than can be served, 503 has a
/// place in line (`waiting`).
///
/// # Errors
/// 401, 403, 415, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    operation_id = "sign_in",
    tag = "sessions",
    security(("identity_token" = [])),
    params(("Yima-Ticket" = Option<String>, Header, description = "The `ticket` of a place in line")),
    responses((status = 200, body = SessionBody))
)]
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let token = jwt::bearer(request.headers())?;
    body::content_encoding(request.headers())?;
    let now = (app.clock)();
    let claimed = app.identity_provider.claimed_holder(token)?;
    let admitted = app.sign_ins.enter(request.headers(), &claimed, now)?;
    let claims = app.identity_provider.verify(token, &app.limits.sign_in);
    let claims = claims.map_err(|refused| {
        let is_spent = refused.problem().kind == ProblemType::TooManyRequests;
        if is_spent { app.sign_ins.turn_away(admitted, &claimed, now).into() } else { refused }
    })?;
    let (session, token, remaining) = start(&app, &claims, now)?;
    let mut response = axum::Json(SessionBody::of(&session, token)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    app.limits.session.describe(remaining, response.headers_mut());
    Ok(response)
}

/// Starts a session for whom an identity token names, and seals it.
///
/// # Errors
/// 403, 429, 503.
pub(super) fn start(app: &App, claims: &Claims, now: Time) -> Result<(Session, String, Remaining), ProblemResponse> {
    let holder = holder(app, claims)?;
    let limit = &app.limits.session;
    let (key, lifetime) = match &holder {
        Holder::Citizen { subject } => (subject.fingerprint(), app.citizen_session),
        Holder::Checkpoint { checkpoint, .. } => (limit.key(checkpoint), app.checkpoint_session),
    };
    let remaining = limit.take(key, 1)?;
    let keyring = app.keyring.load();
    let seal_keys = keyring.for_new_sessions()?;
    let session = Session { id: rand::random(), started_at: now, expires_at: now.plus(lifetime), holder };
    match &session.holder {
        Holder::Citizen { subject } => app.session_ends.started(*subject, &session, now),
        Holder::Checkpoint { checkpoint, operator: Some(operator), .. } => {
            let (checkpoint, operator) = (Some(checkpoint.clone()), operator.clone());
            app.record(AuditEntry::OperatorSignedIn { agency: None, checkpoint, operator });
        }
        Holder::Checkpoint { operator: None, .. } => {}
    }
    let token = session.seal(seal_keys);
    Ok((session, token, remaining))
}

/// Ends the citizen's session: it opens nothing any more, on this node at once and elsewhere as soon as the end is
/// known there.
///
/// # Errors
/// 401, 403, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/sessions/current",
    operation_id = "sign_out",
    tag = "sessions",
    security(("session" = [])),
    responses((status = 204, description = "The session has ended"))
)]
pub async fn end_current(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let Citizen { session, subject } = citizen(&app, &request, now)?;
    let remaining = app.limits.session_end.take(subject.fingerprint(), 1)?;
    app.end_session(subject, &session, now).await?;
    Ok(ended(&app, remaining))
}

/// Ends every session of the citizen that has started until now, this one included: for a lost phone.
///
/// # Errors
/// 401, 403, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/sessions",
    operation_id = "sign_out_everywhere",
    tag = "sessions",
    security(("session" = [])),
    responses((status = 204, description = "The sessions have ended"))
)]
pub async fn end_all(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = citizen(&app, &request, now)?;
    let remaining = app.limits.session_end.take(citizen.subject.fingerprint(), 1)?;
    // A session that was ended cannot end others.
    citizen.check(&app.look_up(citizen.subject, Version::ABSENT, None).await?)?;
    app.end_all_sessions(citizen.subject, now).await?;
    Ok(ended(&app, remaining))
}

/// The citizen who ends sessions. The end of a checkpoint's session would have no view to be in, so none is claimed.
fn citizen(app: &App, request: &HeaderMap, now: Time) -> Result<Citizen, ProblemResponse> {
    let session = app.session(request, now)?;
    match session.holder {
        Holder::Citizen { subject } => Ok(Citizen { session, subject }),
        Holder::Checkpoint { .. } => {
            let detail = format!(
                "A checkpoint's session cannot be ended: delete it where it is kept; it is valid until {}",
                session.expires_at
            );
            Err(Problem::new(ProblemType::Forbidden, detail).into())
        }
    }
}

fn ended(app: &App, remaining: Remaining) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    app.limits.session_end.describe(remaining, response.headers_mut());
    response
}

fn holder(app: &App, claims: &Claims) -> Result<Holder, ProblemResponse> {
    if let Some(role) = scan_role(claims) {
        let checkpoint = claims.checkpoint.clone().filter(|name| (1..=64).contains(&name.len()));
        let checkpoint = checkpoint.ok_or_else(|| lacks("checkpoint"))?;
        return Ok(Holder::Checkpoint {
            checkpoint,
            require_test_within_h: claims.require_test_within_h,
            // A turnstile can compare no document with its holder.
            looks_up_documents: claims.allows(Scope::ScanDocument) && role != ScanRole::Turnstile,
            role,
            operator: claims.operator.clone(),
        });
    }
    if claims.allows(Scope::Display) {
        let kind = claims.document_type.ok_or_else(|| lacks("document_type"))?;
        let number = claims.document_number.as_deref().ok_or_else(|| lacks("document_number"))?;
        let document = Document::new(kind, number).map_err(|_| lacks("document_number"))?;
        return Ok(Holder::Citizen { subject: app.pseudonyms.subject(&document) });
    }
    Err(jwt::insufficient_scope(Scope::Display, "The token's scope must have `display` or `scan`"))
}

/// The role with the most rights that the token has.
fn scan_role(claims: &Claims) -> Option<ScanRole> {
    let roles = [
        (Scope::ScanHospital, ScanRole::Hospital),
        (Scope::Scan, ScanRole::Guard),
        (Scope::ScanTurnstile, ScanRole::Turnstile),
    ];
    roles.into_iter().find(|(scope, _)| claims.allows(*scope)).map(|(_, role)| role)
}

fn lacks(claim: &str) -> ProblemResponse {
    Problem::new(ProblemType::Forbidden, format!("The token has no valid claim `{claim}`")).into()
}
