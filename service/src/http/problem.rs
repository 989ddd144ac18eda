//! Problem documents as responses (RFC 9457).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use yima_schema::problem::{Problem, ProblemType};

/// A problem as the whole answer: `application/problem+json`, never stored by a cache, `Retry-After` where it is known,
/// and with 401 a challenge (RFC 6750 section 3): the token is invalid, unless the fields say otherwise.
#[derive(Clone, Debug)]
pub struct ProblemResponse {
    problem: Problem,
    /// Boxed: most have none, and an error moves through every `?` on its way.
    fields: Option<Box<HeaderMap>>,
}

impl ProblemResponse {
    /// The problem with more header fields, such as those of a rate limit.
    pub fn new(problem: Problem, fields: HeaderMap) -> Self {
        Self { problem, fields: Some(Box::new(fields)) }
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl From<Problem> for ProblemResponse {
    fn from(problem: Problem) -> Self {
        Self { problem, fields: None }
    }
}

impl ProblemResponse {
    /// Status, header fields and body of the answer.
    pub(super) fn into_parts(self) -> (StatusCode, HeaderMap, Vec<u8>) {
        let Self { problem, fields } = self;
        let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem consists of texts and numbers: it always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(fields.map(|fields| *fields).unwrap_or_default());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if problem.kind == ProblemType::Unauthenticated {
            let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            headers.entry(header::WWW_AUTHENTICATE).or_insert(invalid);
        }
        (status, headers, body)
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let (status, headers, body) = self.into_parts();
        let mut response = (status, body).into_response();
        *response.headers_mut() = headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_follow_from_the_problem() {
        let of = |problem: Problem| ProblemResponse::from(problem).into_response();
        let unauthenticated = of(Problem::new(ProblemType::Unauthenticated, "x"));
        assert_eq!(unauthenticated.status(), 401);
        assert_eq!(unauthenticated.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
        assert_eq!(unauthenticated.headers()["content-type"], "application/problem+json");
        assert_eq!(unauthenticated.headers()["cache-control"], "no-store");
        let unavailable = of(Problem::new(ProblemType::Unavailable, "x").retry_after(7));
        assert_eq!(unavailable.headers()["retry-after"], "7");
        assert!(!unavailable.headers().contains_key("www-authenticate"));
    }
}
