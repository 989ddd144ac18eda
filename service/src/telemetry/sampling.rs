//! Decides which requests are traced. An untraced request costs a comparison and, with tracing on, one lookup of a
//! header.

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Decides about and begins the spans of requests.
#[derive(Clone, Debug)]
pub struct Sampling {
    rate: Option<f64>,
    trusts_callers: bool,
}

impl Sampling {
    /// `rate` is the share of traced requests, 0 to 1; `None` disables tracing. `trusts_callers`: a caller's
    /// `traceparent` counts.
    pub(super) fn new(rate: Option<f64>, trusts_callers: bool) -> Self {
        Self { rate, trusts_callers }
    }

    /// The span of a traced request: chosen by chance, or by a trusted caller (W3C Trace Context, `traceparent` with
    /// the sampled flag).
    pub(crate) fn span(&self, headers: &HeaderMap, method: &'static str, route: &str, id: &str) -> Option<Span> {
        let rate = self.rate?;
        let given = self.trusts_callers && headers.contains_key("traceparent");
        let parent = given.then(|| caller(headers));
        let is_requested = parent.as_ref().is_some_and(SpanContext::is_sampled);
        if !is_requested && rand::random::<f64>() >= rate {
            return None;
        }
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            cache.status = Empty,
            request_id = id,
        );
        if let Some(parent) = parent {
            // Fails only for a span that another subscriber made.
            let _no_parent = span.set_parent(Context::new().with_remote_span_context(parent));
        }
        Some(span)
    }
}

/// The caller's span, by its ids alone: `tracestate` may be any text.
fn caller(headers: &HeaderMap) -> SpanContext {
    let given = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let given = given.span().span_context().clone();
    SpanContext::new(given.trace_id(), given.span_id(), given.trace_flags(), true, TraceState::default())
}
