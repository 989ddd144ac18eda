//! The demo identity provider: issues tokens to anyone. It takes the place of a city's own sign-in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::{DocumentType, PseudonymKey};
use yima_schema::time::DAY;
use yima_service::http::{ProblemResponse, body};
use yima_service::jwt::{Claims, Issuer, Scope};
use yima_service::rate_limit::{RateConfig, RateLimiter};

use super::people::People;
use super::population::{Profile, document_number, person};

/// Lifetime of its tokens.
const LIFETIME: Duration = DAY;
/// Rate limit of all callers together.
const TOKENS_PER_SECOND: u32 = 100;
/// The agency of the writer's page.
const DEMO_AGENCY: &str = "lab-7";

/// Claims of the citizen with that document.
pub fn citizen(kind: DocumentType, number: &str) -> Claims {
    Claims {
        scope: Scope::Display.as_str().into(),
        document_type: Some(kind),
        document_number: Some(number.into()),
        ..Claims::default()
    }
}

/// Claims of a checkpoint's staff.
pub fn checkpoint(name: &str, require_test_within_h: Option<u16>, looks_up_documents: bool) -> Claims {
    let mut scope = Scope::Scan.as_str().to_owned();
    if looks_up_documents {
        scope = format!("{scope} {}", Scope::ScanDocument.as_str());
    }
    Claims { scope, checkpoint: Some(name.into()), require_test_within_h, ..Claims::default() }
}

/// Claims of an agency.
pub fn agency(name: &str) -> Claims {
    Claims { scope: Scope::EventsWrite.as_str().into(), agency: Some(name.into()), ..Claims::default() }
}

/// Issues a token with these claims.
pub fn token(issuer: &Issuer, claims: &Claims) -> String {
    issuer.issue(claims, LIFETIME)
}

struct Demo {
    issuer: Issuer,
    people: People,
    shown: Vec<Person>,
    limit: RateLimiter,
}

#[derive(Clone, Serialize)]
struct Person {
    person: usize,
    name: Option<String>,
    document_type: DocumentType,
    document_number: String,
    about: &'static str,
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
enum TokenRequest {
    Citizen { person: u64 },
    Checkpoint {},
}

struct Agencies {
    issuer: Issuer,
    limit: RateLimiter,
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
enum AgencyTokenRequest {
    Agency {},
}

/// `GET /demo/people` and `POST /demo/token`, for the pages' sign-in buttons.
pub fn router(issuer: Issuer, people: People, pseudonyms: &PseudonymKey, rules: &yima_schema::rules::Rules) -> Router {
    let shown = (0..).zip(Profile::ALL).take_while(|(n, _)| *n < people.population).map(|(n, profile)| {
        let (_, events) = person(n, people.loaded_at, pseudonyms);
        Person {
            person: n as usize,
            name: yima_schema::derive::derive(&events, rules).name,
            document_type: DocumentType::CnResidentId,
            document_number: document_number(n),
            about: profile.as_str(),
        }
    });
    let demo = Demo { issuer, people, shown: shown.collect(), limit: limit() };
    Router::new().route("/demo/people", get(list)).route("/demo/token", post(issue)).with_state(Arc::new(demo))
}

/// `GET /demo/agency` and `POST /demo/token` on the writer's port, for its page's sign-in button.
pub fn agency_router(issuer: Issuer) -> Router {
    let demo = Agencies { issuer, limit: limit() };
    let name = async || uncached(Json(serde_json::json!({ "agency": DEMO_AGENCY })));
    Router::new()
        .route("/demo/agency", get(name))
        .route("/demo/token", post(issue_to_agency))
        .with_state(Arc::new(demo))
}

fn limit() -> RateLimiter {
    RateLimiter::new("demo-token", &RateConfig::new(TOKENS_PER_SECOND, Duration::from_secs(1)))
}

async fn issue_to_agency(State(demo): State<Arc<Agencies>>, request: Request) -> Result<Response, ProblemResponse> {
    demo.limit.take(0, 1)?;
    let AgencyTokenRequest::Agency {} = read_request(request).await?;
    Ok(uncached(Json(serde_json::json!({ "token": token(&demo.issuer, &agency(DEMO_AGENCY)) }))))
}

async fn read_request<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    body::content_type(request.headers(), &["application/json"])?;
    body::object(&body::read_body(request.into_body(), 1_024, Duration::from_secs(5)).await?)
}

async fn list(State(demo): State<Arc<Demo>>) -> Response {
    uncached(Json(serde_json::json!({ "people": demo.shown })))
}

async fn issue(State(demo): State<Arc<Demo>>, request: Request) -> Result<Response, ProblemResponse> {
    demo.limit.take(0, 1)?;
    let claims = match read_request(request).await? {
        TokenRequest::Citizen { person } if person < demo.people.population => {
            citizen(DocumentType::CnResidentId, &document_number(person))
        }
        TokenRequest::Citizen { .. } => {
            let expected = format!("expected a number below {}", demo.people.population);
            return Err(Problem::invalid(vec![FieldError::new("/person", expected)]).into());
        }
        TokenRequest::Checkpoint {} => checkpoint("demo-gate", None, true),
    };
    Ok(uncached(Json(serde_json::json!({ "token": token(&demo.issuer, &claims) }))))
}

fn uncached(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
