//! The audit log: records of operators' actions, and `GET /audit` of the admin port.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use yima_schema::audit::{AuditEntry, AuditRecord, OperatorAction};
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_schema::time::{DAY, Time};
use yima_service::clock::now;
use yima_service::http::ProblemResponse;
use yima_store::AuditLog;

/// Most records of an answer.
const MAX_RECORDS: usize = 10_000;
/// How far back an answer may begin, in days.
const MAX_DAYS: u32 = 31;

/// The audit log once the store is open.
pub type LateAuditLog = Arc<OnceLock<Arc<dyn AuditLog>>>;

/// An operator's action, now.
pub fn record(action: OperatorAction) -> AuditRecord {
    AuditRecord { at: now(), entry: AuditEntry::OperatorAction { action } }
}

/// Records an operator's action that is done. An error changes nothing about the action.
pub async fn record_done(log: &dyn AuditLog, action: OperatorAction) {
    if let Err(error) = log.audit(&record(action)).await {
        tracing::warn!(?action, %error, "an operator's action is not in the audit log");
    }
}

/// `GET /audit?since=TIME`: records as NDJSON, oldest first; without `since` those of the last day.
pub fn router(log: LateAuditLog) -> Router {
    Router::new().route("/audit", get(audited)).with_state(log)
}

async fn audited(State(log): State<LateAuditLog>, uri: Uri) -> Result<Response, ProblemResponse> {
    let since = since(uri.query(), now())?;
    let unavailable = || Problem::new(ProblemType::Unavailable, "The store cannot be read now").retry_after(5);
    let records = log.get().ok_or_else(unavailable)?.audited(since, MAX_RECORDS).await;
    let records = records.map_err(|error| {
        tracing::warn!(%error, "the audit log cannot be read");
        unavailable()
    })?;
    let lines: String = records.iter().flat_map(|record| [record.as_str(), "\n"]).collect();
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

fn since(query: Option<&str>, now: Time) -> Result<Time, Problem> {
    let Some(query) = query else { return Ok(now.minus(DAY)) };
    let since = query.strip_prefix("since=").and_then(|text| text.parse::<Time>().ok());
    let since = since.ok_or_else(|| {
        let expected = "expected no query, or since=TIME, such as since=2026-11-22T07:30:00Z";
        Problem::invalid(vec![FieldError::new("", expected)])
    })?;
    Ok(since.max(now.minus(DAY * MAX_DAYS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_within_the_last_31_days() {
        let now: Time = "2026-11-22T07:30:00Z".parse().unwrap();
        assert_eq!(since(None, now).unwrap(), now.minus(DAY));
        assert_eq!(since(Some("since=2026-11-20T00:00:00Z"), now).unwrap(), "2026-11-20T00:00:00Z".parse().unwrap());
        assert_eq!(since(Some("since=1970-01-01T00:00:00Z"), now).unwrap(), now.minus(DAY * 31));
        for wrong in ["", "since", "since=", "since=yesterday", "until=2026-11-20T00:00:00Z"] {
            assert!(since(Some(wrong), now).is_err(), "{wrong}");
        }
    }
}
