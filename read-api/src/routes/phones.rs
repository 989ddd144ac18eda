//! `/v1/phones`: the phones of a citizen that show codes with keys of their own. They are started and ended by events,
//! as sessions are ended.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yima_schema::event::{EventData, PhoneChange};
use yima_schema::phones::{MAX_NAME_CHARS, MAX_PHONES_OF_GUARDIAN, Phone};
use yima_schema::plain_text::plain_text;
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::{ProblemResponse, body};

use super::scan::BODY_TIMEOUT;
use crate::app::App;
use crate::headers::private;
use crate::presenter::Presenter;

/// Largest body, in bytes.
const MAX_BODY: usize = 1_024;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PhoneRequest {
    /// As its holder calls it.
    #[schema(min_length = 1, max_length = 32)]
    name: String,
}

/// A phone.
#[derive(Serialize, ToSchema)]
struct PhoneBody {
    /// 16 hexadecimal digits.
    id: String,
    name: String,
    started_at: Time,
}

/// The phone that was registered.
#[derive(Serialize, ToSchema)]
struct StartedBody {
    #[serde(flatten)]
    phone: PhoneBody,
    /// To be sent as `Yima-At-Least-As-Fresh`, so that another node knows the phone too.
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<String>,
    /// The server's time.
    now: Time,
}

/// A citizen's phones, the one that was registered last first.
#[derive(Serialize, ToSchema)]
struct PhonesBody {
    phones: Vec<PhoneBody>,
    /// How many there may be.
    most: usize,
    /// The server's time.
    now: Time,
}

impl PhoneBody {
    fn of(phone: &Phone) -> Self {
        Self { id: format!("{:016x}", phone.id), name: phone.name.clone(), started_at: phone.started_at }
    }
}

/// Registers a phone: from then on it can get tokens.
///
/// # Errors
/// 400, 401, 403, 408, 409, 413, 415, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/phones",
    operation_id = "start_phone",
    tag = "citizen",
    security(("session" = [])),
    params(("Yima-For" = Option<String>, Header, description = "The `ward` whose codes it shows; without it the own")),
    request_body(content = PhoneRequest, example = json!({"name": "My phone"})),
    responses((status = 201, body = StartedBody))
)]
pub async fn start(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let (Parts { headers, .. }, sent) = request.into_parts();
    let presenter = app.presenter(&headers, now)?;
    let remaining = app.limits.phone.take(presenter.limit_key(), 1)?;
    body::content_type(&headers, &["application/json"])?;
    let bytes = body::read_body(sent, MAX_BODY, BODY_TIMEOUT).await?;
    let PhoneRequest { name } = body::object(&bytes)?;
    let name = plain_text(&name, MAX_NAME_CHARS).ok_or_else(|| {
        let expected = format!("expected 1 to {MAX_NAME_CHARS} characters that can be seen");
        Problem::invalid(vec![FieldError::new("/name", expected)])
    })?;
    let answer = app.look_up_shown(&presenter, &headers).await?;
    let most = most(&app, &presenter);
    if phones_of(&presenter, &answer.entry.view(), now)?.len() >= most {
        let detail = format!("{most} phones are registered: end one of them first");
        return Err(Problem::new(ProblemType::TooManyPhones, detail).into());
    }
    let id = rand::random();
    let phone = Phone { started_at: now, id, name };
    let name = phone.name.clone();
    let change = match presenter.ward {
        None => PhoneChange::Started { name },
        Some(_) => PhoneChange::StartedByGuardian { guardian: presenter.citizen.subject, name },
    };
    let name = format!("phone/{id:016x}/start");
    let written = app.write_own(presenter.subject(), name, EventData::Phone { id, change }, now).await;
    let freshness = written?.map(|token| token.seal(&app.freshness));
    let body = StartedBody { phone: PhoneBody::of(&phone), freshness, now };
    Ok(private(&app.limits.phone, remaining, (StatusCode::CREATED, axum::Json(body)).into_response()))
}

/// The citizen's phones.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/phones",
    operation_id = "phones",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The `freshness` of a phone"),
    ),
    responses((status = 200, body = PhonesBody))
)]
pub async fn list(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.token.take(presenter.limit_key(), 1)?;
    let view = app.look_up_shown(&presenter, &request).await?.entry.view();
    let phones = phones_of(&presenter, &view, now)?.iter().map(PhoneBody::of).collect();
    let body = PhonesBody { phones, most: most(&app, &presenter), now };
    Ok(private(&app.limits.token, remaining, axum::Json(body).into_response()))
}

/// Ends a phone, from this phone or another: its tokens are refused, on this node at once and elsewhere as soon as the
/// end is known there.
///
/// # Errors
/// 401, 403, 404, 409, 429, 503.
#[utoipa::path(
    delete,
    path = "/v1/phones/{id}",
    operation_id = "end_phone",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("id" = String, Path, description = "16 hexadecimal digits"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
    ),
    responses((status = 204, description = "The phone has ended"), (status = 404, description = "No such phone"))
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.phone.take(presenter.limit_key(), 1)?;
    let id = hex_id(&id).ok_or_else(unknown_phone)?;
    let answer = app.look_up_shown(&presenter, &request).await?;
    let view = answer.entry.view();
    phones_of(&presenter, &view, now)?.iter().find(|phone| phone.id == id).ok_or_else(unknown_phone)?;
    let data = EventData::Phone { id, change: PhoneChange::Ended };
    app.write_own(presenter.subject(), format!("phone/{id:016x}/end"), data, now).await?;
    Ok(private(&app.limits.phone, remaining, StatusCode::NO_CONTENT.into_response()))
}

/// The presenter's phones that show codes of this person, by its view.
///
/// # Errors
/// 403: not the guardian.
fn phones_of<'v>(presenter: &Presenter, view: &'v View, now: Time) -> Result<&'v [Phone], Problem> {
    let guardianship = presenter.guardianship(view, now)?;
    Ok(guardianship.map_or(&view.phones.open, |guardian| &guardian.phones))
}

/// How many of them there may be.
fn most(app: &App, presenter: &Presenter) -> usize {
    let most = app.phones.max_per_person;
    if presenter.ward.is_some() { most.min(MAX_PHONES_OF_GUARDIAN) } else { most }
}

/// An id of a phone or print as it is written, 16 hexadecimal digits, and no other text.
pub(super) fn hex_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok().filter(|id| format!("{id:016x}") == text)
}

/// The problem of who names a phone that is not registered, or not any more.
pub(super) fn unknown_phone() -> Problem {
    Problem::new(ProblemType::UnknownPhone, "You have no such phone; it may have been ended from another one")
}
