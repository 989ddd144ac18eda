//! Steps of traced requests, as spans; and the calls of a database among them, by OpenTelemetry's semantic conventions.

use tracing::{Instrument, Span};

use crate::{Result, StoreError};

/// A span within a traced request, written as for [`tracing::info_span`]; nothing outside of one, so that only what is traced pays. No key, id or
/// content may be in it, only names and numbers.
#[macro_export]
macro_rules! span {
    ($($span:tt)+) => {
        if ::tracing::Span::current().is_none() { ::tracing::Span::none() } else { ::tracing::info_span!($($span)+) }
    };
}

/// The span of a call: of which database, what it does, to which table, and for how many keys or rows.
macro_rules! call_span {
    ($system:literal, $operation:literal, $table:literal, $of:expr) => {{
        let of: usize = $of;
        $crate::span!(
            concat!($operation, " ", $table),
            otel.kind = "client",
            otel.status_code = ::tracing::field::Empty,
            error.type = ::tracing::field::Empty,
            db.system.name = $system,
            db.operation.name = $operation,
            db.collection.name = $table,
            db.operation.batch.size = (of > 1).then_some(of),
        )
    }};
}
pub(crate) use call_span;

/// Makes a call within its span, and notes there what kind of fault became of it.
pub(crate) async fn call<T>(span: Span, called: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = called.instrument(span.clone()).await;
    if let Err(fault) = &outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", kind(fault));
    }
    outcome
}

fn kind(fault: &StoreError) -> &'static str {
    match fault {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::TimedOut => "timed_out",
        StoreError::Corrupt { .. } => "corrupt",
        StoreError::Rejected(_) => "rejected",
    }
}
