//! Header fields of FHIR clients (FHIR R4 section 3.1.0).

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use yima_schema::problem::{Problem, ProblemType};

/// Whether the client expects FHIR answers: it sends a FHIR media type, or accepts one.
pub(super) fn is_fhir_client(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CONTENT_TYPE).iter().chain(headers.get_all(ACCEPT));
    fields.filter_map(|value| value.to_str().ok()).any(|value| value.to_ascii_lowercase().contains("application/fhir+"))
}

/// Refuses conditional requests: conditions are not evaluated here, and must not be ignored.
pub(super) fn refuse_conditions(headers: &HeaderMap) -> Result<(), Problem> {
    let conditions = [IF_MATCH.as_str(), IF_NONE_MATCH.as_str(), "if-none-exist"];
    match conditions.into_iter().find(|name| headers.contains_key(*name)) {
        Some(name) => {
            Err(Problem::new(ProblemType::Invalid, format!("{name}: expected none: conditions are not supported here")))
        }
        None => Ok(()),
    }
}
