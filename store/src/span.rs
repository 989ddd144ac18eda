//! Spans of traced requests; among them calls of a database, by OpenTelemetry's semantic conventions.

use tracing::{Instrument, Span};

use crate::{Result, StoreError};

/// A span within a traced request, written as for [`tracing::info_span`]; no span outside of one, so that only traced
/// requests pay. It must hold only names and numbers: no key, id or content.
#[macro_export]
macro_rules! span {
    ($($span:tt)+) => {
        if ::tracing::Span::current().is_none() { ::tracing::Span::none() } else { ::tracing::info_span!($($span)+) }
    };
}

/// The span of a call: the database, the operation, the table, and the number of keys or rows.
macro_rules! call_span {
    ($system:literal, $operation:literal, $table:literal, $rows:expr) => {{
        let rows: usize = $rows;
        $crate::span!(
            concat!($operation, " ", $table),
            otel.kind = "client",
            otel.status_code = ::tracing::field::Empty,
            error.type = ::tracing::field::Empty,
            db.system.name = $system,
            db.operation.name = $operation,
            db.collection.name = $table,
            db.operation.batch.size = (rows > 1).then_some(rows),
        )
    }};
}
pub(crate) use call_span;

/// Makes a call within its span, and records there the kind of its error.
pub(crate) async fn call<T>(span: Span, call: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = call.instrument(span.clone()).await;
    if let Err(error) = &outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", kind(error));
    }
    outcome
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::TimedOut => "timed_out",
        StoreError::Corrupt { .. } => "corrupt",
        StoreError::Rejected(_) => "rejected",
    }
}
