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
use yima_schema::event::Colour;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::rules::Rules;
use yima_schema::subject::{DocumentType, PseudonymKey, SubjectId};
use yima_schema::time::{DAY, HOUR, Time};
use yima_schema::view::View;
use yima_service::clock::now;
use yima_service::http::{ProblemResponse, body};
use yima_service::jwt::{Claims, Issuer, Scope};
use yima_service::rate_limit::{RateConfig, RateLimiter};
use yima_store::ViewReader;

use super::people::People;
use super::population::{Profile, document, document_number, person};

/// Lifetime of its tokens.
const LIFETIME: Duration = DAY;
/// Rate limit of all callers together.
const TOKENS_PER_SECOND: u32 = 100;
/// A test that is older meets no checkpoint's policy.
const LONGEST_POLICY: Duration = HOUR.saturating_mul(72);
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
    subjects: Vec<SubjectId>,
    views: Arc<dyn ViewReader>,
    limit: RateLimiter,
}

#[derive(Clone, Serialize)]
struct Person {
    person: usize,
    name: Option<String>,
    document_type: DocumentType,
    document_number: String,
    /// The name of a [`Profile`], or `none`: the person's state now, or as seeded while it cannot be looked up.
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
pub fn router(
    issuer: Issuer,
    people: People,
    pseudonyms: &PseudonymKey,
    rules: &Rules,
    views: Arc<dyn ViewReader>,
) -> Router {
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
    let shown: Vec<_> = shown.collect();
    let subjects = shown.iter().map(|person| pseudonyms.subject(&document(person.person as u64))).collect();
    let demo = Demo { issuer, people, shown, subjects, views, limit: limit() };
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
    let mut people = demo.shown.clone();
    let views = demo.views.lookup_many(&demo.subjects).await.unwrap_or_default();
    for (person, view) in people.iter_mut().zip(views) {
        if let Some(view) = view.and_then(|stored| View::decode(&stored.view).ok()) {
            person.about = about(&view, now());
        }
    }
    uncached(Json(serde_json::json!({ "people": people })))
}

/// What a person is an example of, now.
fn about(view: &View, now: Time) -> &'static str {
    let is_tested = view.tests.iter().any(|test| test.sampled_at.plus(LONGEST_POLICY) >= now);
    match view.colour_at(now).colour() {
        Colour::Green if view.vaccination.doses == 0 => Profile::Unvaccinated.as_str(),
        Colour::Green if !is_tested => Profile::TestTooOld.as_str(),
        colour @ (Colour::Green | Colour::Yellow | Colour::Red | Colour::None) => colour.as_str(),
    }
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

#[cfg(test)]
mod tests {
    use yima_schema::derive::derive;

    use super::*;

    #[test]
    fn a_person_is_described_as_they_are_now() {
        let (key, rules, now) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in(), Time::from_secs(1_800_000_000));
        for (n, profile) in (0..).zip(Profile::ALL) {
            let (_, events) = person(n, now, &key);
            assert_eq!(about(&derive(&events, &rules), now), profile.as_str());
        }
        // A week later the red and the yellow have ended, and the tests are old.
        let (_, events) = person(2, now, &key);
        assert_eq!(about(&derive(&events, &rules), now.plus(DAY * 8)), "test_too_old");
        assert_eq!(about(&View::default(), now), "none");
    }
}
