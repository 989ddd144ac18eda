//! `/v1/wards`: whose codes a citizen may show as a guardian. Each is named by a handle, which `Yima-For` takes.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yima_schema::guardianship_tokens::GuardianshipHandle;
use yima_schema::guardianships::{Guardian, MAX_WARDS};
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::{ProblemResponse, body};

use super::scan::BODY_TIMEOUT;
use crate::app::App;
use crate::guardianships::Redeemed;
use crate::headers::private;
use crate::presenter::not_a_guardian;

/// Largest body, in bytes.
const MAX_BODY: usize = 1_024;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedeemRequest {
    /// As the other person's page shows it.
    invitation: String,
}

/// A person whose code the caller may show. Name and document number are masked.
#[derive(Serialize, ToSchema)]
struct WardBody {
    /// To be sent as `Yima-For`; another text each time.
    ward: String,
    name: Option<String>,
    document: Option<String>,
    since: Time,
    /// The first moment at which the code cannot be shown; null until one of the two, or the agency, ends it.
    until: Option<Time>,
    /// The agency that has stated it; null if the two have agreed.
    agency: Option<String>,
}

/// The ward that the caller now has.
#[derive(Serialize, ToSchema)]
struct RedeemedBody {
    #[serde(flatten)]
    ward: WardBody,
    /// To be sent as `Yima-At-Least-As-Fresh` with `Yima-For`, so that another node knows the guardianship too.
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<String>,
    /// The server's time.
    now: Time,
}

/// A guardian's wards, the one that was added last first.
#[derive(Serialize, ToSchema)]
struct WardsBody {
    wards: Vec<WardBody>,
    /// How many there may be.
    most: usize,
    /// The server's time.
    now: Time,
}

impl WardBody {
    fn of(app: &App, ward: SubjectId, view: &View, guardian: &Guardian) -> Self {
        Self {
            ward: app.guardianships.seal_handle(&GuardianshipHandle { ward, guardian: guardian.subject }),
            name: view.name.clone(),
            document: view.document.clone(),
            since: guardian.started_at,
            until: guardian.until,
            agency: guardian.agency.clone(),
        }
    }
}

/// Makes the caller the guardian of who has made the invitation. Redeemed again by the same citizen it changes nothing.
///
/// # Errors
/// 400, 401, 403, 408, 409, 413, 415, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/wards",
    operation_id = "redeem_invitation",
    tag = "citizen",
    security(("session" = [])),
    request_body(content = RedeemRequest, example = json!({"invitation": "AAVvPq…"})),
    responses(
        (status = 201, body = RedeemedBody),
        (status = 200, body = RedeemedBody, description = "It had been redeemed before"),
    )
)]
pub async fn redeem(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let (Parts { headers, .. }, sent) = request.into_parts();
    let citizen = app.citizen(&headers, now)?;
    let remaining = app.limits.guardianship.take(citizen.subject.fingerprint(), 1)?;
    body::content_type(&headers, &["application/json"])?;
    let bytes = body::read_body(sent, MAX_BODY, BODY_TIMEOUT).await?;
    let RedeemRequest { invitation } = body::object(&bytes)?;
    let expected = |what: &str| Problem::invalid(vec![FieldError::new("/invitation", format!("expected {what}"))]);
    let invitation = app.guardianships.open_invitation(invitation.trim());
    let invitation = invitation.ok_or_else(|| expected("the whole invitation, as the other person's page shows it"))?;
    if invitation.ward == citizen.subject {
        return Err(expected("the invitation of another person").into());
    }
    let own = app.look_up_own(&citizen, &headers).await?.entry.view();
    let Redeemed { view, freshness } = app.redeem(&citizen, &own, &invitation, now).await?;
    let guardian = view.guardianships.guardian(citizen.subject, now);
    let guardian = guardian.ok_or_else(not_a_guardian)?;
    let status = if freshness.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let body = RedeemedBody { ward: WardBody::of(&app, invitation.ward, &view, guardian), freshness, now };
    Ok(private(&app.limits.guardianship, remaining, (status, axum::Json(body)).into_response()))
}

/// Whose codes the caller may show. A new one may be missing for a moment; one that is over is not listed.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/wards",
    operation_id = "wards",
    tag = "citizen",
    security(("session" = [])),
    responses((status = 200, body = WardsBody))
)]
pub async fn list(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let remaining = app.limits.token.take(citizen.subject.fingerprint(), 1)?;
    let own = app.look_up_own(&citizen, &request).await?.entry.view();
    let wards = app.wards(citizen.subject, &own, now).await?;
    let body = |(ward, view): &(SubjectId, View)| {
        let guardian = view.guardianships.guardian(citizen.subject, now)?;
        Some(WardBody::of(&app, *ward, view, guardian))
    };
    let body = WardsBody { wards: wards.iter().filter_map(body).collect(), most: MAX_WARDS, now };
    Ok(private(&app.limits.token, remaining, axum::Json(body).into_response()))
}

/// Gives a guardianship up: the caller can show this person's code no more, on this node at once and elsewhere as soon
/// as the end is known there.
///
/// # Errors
/// 400, 401, 403, 404, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/wards/{ward}",
    operation_id = "end_ward",
    tag = "citizen",
    security(("session" = [])),
    params(("ward" = String, Path, description = "As `/v1/wards` lists it")),
    responses((status = 204, description = "The guardianship has ended"), (status = 404, description = "No such ward"))
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Path(ward): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let remaining = app.limits.guardianship.take(citizen.subject.fingerprint(), 1)?;
    let handle = app.guardianships.open_handle(&ward).filter(|handle| handle.guardian == citizen.subject);
    let handle = handle.ok_or_else(|| {
        Problem::new(ProblemType::NotFound, "You have no such ward: expected one as /v1/wards lists it")
    })?;
    app.look_up_own(&citizen, &request).await?;
    app.end_guardianship(handle, now).await?;
    Ok(private(&app.limits.guardianship, remaining, StatusCode::NO_CONTENT.into_response()))
}
