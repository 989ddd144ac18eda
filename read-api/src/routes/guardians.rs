//! `/v1/guardians`: who may show a citizen's code, and the invitation that makes another one a guardian.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::guardianship_tokens::{GuardianshipHandle, Invitation};
use yima_schema::guardianships::{Guardian, MAX_GUARDIANS};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::ProblemResponse;

use crate::app::App;
use crate::guardianships::INVITATION_LIFETIME;
use crate::headers::private;

/// To be given to one person, who redeems it by `POST /v1/wards`.
#[derive(Serialize, ToSchema)]
struct InvitationBody {
    /// One line.
    invitation: String,
    expires_at: Time,
    /// The server's time.
    now: Time,
}

/// A person who may show the caller's code. Name and document number are masked.
#[derive(Serialize, ToSchema)]
struct GuardianBody {
    /// By which the guardianship is ended; another text each time.
    guardian: String,
    name: Option<String>,
    document: Option<String>,
    since: Time,
    /// The first moment at which it is over; null until one of the two, or the agency, ends it.
    until: Option<Time>,
    /// The agency that has stated it; null if the two have agreed.
    agency: Option<String>,
    /// How many of the guardian's phones show the code without a network.
    phones: usize,
}

/// A citizen's guardians, the one that was added last first.
#[derive(Serialize, ToSchema)]
struct GuardiansBody {
    guardians: Vec<GuardianBody>,
    /// How many there may be.
    most: usize,
    /// The server's time.
    now: Time,
}

/// Makes an invitation, valid for ten minutes. Nothing is stored until it is redeemed; the first who redeems it becomes
/// the caller's guardian.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/guardians/invitations",
    operation_id = "invite_guardian",
    tag = "citizen",
    security(("session" = [])),
    responses((status = 201, body = InvitationBody))
)]
pub async fn invite(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let remaining = app.limits.guardianship.take(citizen.subject.fingerprint(), 1)?;
    app.look_up_own(&citizen, &request).await?;
    let expires_at = now.plus(INVITATION_LIFETIME).min(citizen.session.expires_at);
    let invitation = Invitation::new(citizen.subject, &citizen.session, rand::random(), expires_at);
    let body = InvitationBody { invitation: app.guardianships.seal_invitation(&invitation), expires_at, now };
    Ok(private(&app.limits.guardianship, remaining, (StatusCode::CREATED, axum::Json(body)).into_response()))
}

/// Who may show the caller's code.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/guardians",
    operation_id = "guardians",
    tag = "citizen",
    security(("session" = [])),
    responses((status = 200, body = GuardiansBody))
)]
pub async fn list(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let ward = citizen.subject;
    let remaining = app.limits.token.take(ward.fingerprint(), 1)?;
    let own = app.look_up_own(&citizen, &request).await?.entry.view();
    let in_force: Vec<_> = own.guardianships.guardians.iter().filter(|guardian| guardian.is_in_force(now)).collect();
    let people = app.people(in_force.iter().map(|guardian| guardian.subject)).await?;
    let body = |(guardian, (_, View { name, document, .. })): (&Guardian, _)| GuardianBody {
        guardian: app.guardianships.seal_handle(&GuardianshipHandle { ward, guardian: guardian.subject }),
        name,
        document,
        since: guardian.started_at,
        until: guardian.until,
        agency: guardian.agency.clone(),
        phones: guardian.phones.len(),
    };
    let guardians = in_force.into_iter().zip(people).map(body).collect();
    let body = GuardiansBody { guardians, most: MAX_GUARDIANS, now };
    Ok(private(&app.limits.token, remaining, axum::Json(body).into_response()))
}

/// Ends a guardianship: this person can show the caller's code no more, on this node at once and elsewhere as soon as
/// the end is known there.
///
/// # Errors
/// 400, 401, 403, 404, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/guardians/{guardian}",
    operation_id = "end_guardian",
    tag = "citizen",
    security(("session" = [])),
    params(("guardian" = String, Path, description = "As `/v1/guardians` lists it")),
    responses(
        (status = 204, description = "The guardianship has ended"),
        (status = 404, description = "No such guardian")
    )
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Path(guardian): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let remaining = app.limits.guardianship.take(citizen.subject.fingerprint(), 1)?;
    let handle = app.guardianships.open_handle(&guardian).filter(|handle| handle.ward == citizen.subject);
    let handle = handle.ok_or_else(|| {
        Problem::new(ProblemType::NotFound, "You have no such guardian: expected one as /v1/guardians lists it")
    })?;
    app.look_up_own(&citizen, &request).await?;
    app.end_guardianship(handle, now).await?;
    Ok(private(&app.limits.guardianship, remaining, StatusCode::NO_CONTENT.into_response()))
}
